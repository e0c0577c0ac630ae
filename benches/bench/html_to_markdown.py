"""HTML manuals to Markdown: headings, paragraphs, lists, code, tables, links. Enough for prose; not a general converter."""

import re
from html.parser import HTMLParser

HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
BLOCKS = {"p", "div", "section", "article", "blockquote", "dl", "dt", "dd", "ul", "ol", "table", "tbody", "thead", "figure", "hr"}
SILENT = {"script", "style", "head", "nav", "button", "form"}
VOID = {"meta", "link", "input", "img", "br", "hr", "col", "area", "base", "wbr", "source"}
MARKS = {"em": "*", "i": "*", "strong": "**", "b": "**"}


class _Converter(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.blocks = []
        self.line = ""
        self.prefix = ""
        self.lists = []
        self.pre = 0
        self.silent = 0
        self.row = None
        self.rows_of_table = []
        self.link = None

    def flush(self):
        text = self.line if self.pre else re.sub(r"\s+", " ", self.line).strip()
        if text.strip("*` \n"):
            self.blocks.append(self.prefix + text)
        self.line = ""
        self.prefix = ""

    def handle_starttag(self, tag, attributes):
        if self.silent:
            self.silent += tag not in VOID
        elif tag in SILENT:
            self.flush()
            self.silent = 1
        elif self.row is not None and tag in BLOCKS:
            self.line += " "
        elif tag in HEADINGS:
            self.flush()
            self.prefix = HEADINGS[tag]
        elif tag == "li":
            self.flush()
            self.prefix = "    " * (len(self.lists) - 1) + ("1. " if self.lists[-1:] == ["ol"] else "- ")
        elif tag == "pre":
            self.flush()
            self.pre += 1
        elif tag in BLOCKS:
            # The first paragraph of a list item stays behind its mark.
            if not (tag in ("p", "div") and self.prefix and not self.line.strip()):
                self.flush()
            if tag in ("ul", "ol"):
                self.lists.append(tag)
            elif tag == "table":
                self.rows_of_table = []
        elif tag == "tr":
            self.flush()
            self.row = []
        elif tag == "br":
            self.line += "\n" if self.pre else " "
        elif not self.pre:
            self.start_inline(tag, attributes)

    def start_inline(self, tag, attributes):
        if tag in MARKS:
            self.line += MARKS[tag]
        elif tag in ("code", "tt", "kbd"):
            self.line += "`"
        elif tag == "a":
            target = dict(attributes).get("href") or ""
            self.link = target if target.startswith("http") else None
            if self.link:
                self.line += "["

    def handle_endtag(self, tag):
        if self.silent:
            self.silent -= tag not in VOID
        elif tag in ("td", "th") and self.row is not None:
            self.row.append(re.sub(r"\s+", " ", self.line).strip().replace("|", "\\|"))
            self.line = ""
        elif tag == "tr" and self.row is not None:
            self.end_row()
        elif self.row is not None and tag in BLOCKS:
            self.line += " "
        elif tag == "pre":
            text = self.line.strip("\n")
            self.line = ""
            self.pre = max(0, self.pre - 1)
            if text.strip():
                self.blocks.append("```\n" + text + "\n```")
        elif tag in HEADINGS or tag in BLOCKS or tag == "li":
            self.flush()
            if tag in ("ul", "ol") and self.lists:
                self.lists.pop()
            elif tag == "table" and self.rows_of_table:
                self.blocks.append("\n".join(self.rows_of_table))
                self.rows_of_table = []
        elif not self.pre:
            self.end_inline(tag)

    def end_inline(self, tag):
        if tag in MARKS:
            self.line += MARKS[tag]
        elif tag in ("code", "tt", "kbd"):
            self.line += "`"
        elif tag == "a" and self.link:
            self.line += f"]({self.link})"
            self.link = None

    def end_row(self):
        if any(self.row):
            self.rows_of_table.append("| " + " | ".join(self.row) + " |")
            if len(self.rows_of_table) == 1:
                self.rows_of_table.append("|" + " --- |" * len(self.row))
        self.row = None
        self.line = ""

    def handle_data(self, data):
        if not self.silent:
            self.line += data


def html_to_markdown(html):
    """The page as Markdown; blocks are separated by an empty line."""
    converter = _Converter()
    converter.feed(html)
    converter.close()
    converter.flush()
    return "\n\n".join(converter.blocks) + "\n"
