// Draws /openapi.json. Text goes into the page as text, never as markup.
"use strict";

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function words(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.type === "array") return `list of ${words(schema.items)}`;
  const parts = [schema.type || (schema.oneOf || schema.anyOf || schema.allOf || []).map(words).join(" or ")];
  if (schema.format) parts.push(schema.format);
  if (schema.minimum !== undefined) parts.push(`≥ ${schema.minimum}`);
  if (schema.maximum !== undefined) parts.push(`≤ ${schema.maximum}`);
  if (schema.default !== undefined) parts.push(`default ${JSON.stringify(schema.default)}`);
  return parts.filter(Boolean).join(", ");
}

// An example of the media type, or else the names of its schema.
function example(media) {
  if (media.example !== undefined) return media.example;
  const named = Object.values(media.examples || {});
  return named.length ? named[0].value : undefined;
}

function parameters(operation) {
  const rows = (operation.parameters || []).map((p) =>
    element("tr", {}, element("th", {}, element("code", {}, p.name), p.required ? " *" : ""), element("td", {}, words(p.schema)), element("td", {}, p.description || "")));
  return rows.length ? [element("h4", {}, "Parameters"), element("table", {}, ...rows)] : [];
}

function content(all) {
  return Object.entries(all || {}).flatMap(([kind, media]) => {
    const shown = example(media);
    return [element("p", {}, element("code", {}, kind), " ", words(media.schema)), ...(shown === undefined ? [] : [element("pre", {}, JSON.stringify(shown, null, 2))])];
  });
}

function responses(operation) {
  return Object.entries(operation.responses).map(([status, response]) =>
    element("details", {}, element("summary", {}, `${status} — ${response.description}`), element("div", {}, ...content(response.content))));
}

function drawn(path, method, operation) {
  const body = operation.requestBody;
  const box = element("details", { id: operation.operationId },
    element("summary", {}, element("span", { class: "method" }, method), element("code", {}, path), ` ${operation.summary || ""}`),
    element("div", {}, ...(operation.description ? [element("p", {}, operation.description)] : []), ...parameters(operation),
      ...(body ? [element("h4", {}, "Body"), element("p", {}, body.description || ""), ...content(body.content)] : []),
      element("h4", {}, "Answers"), ...responses(operation)));
  box.dataset.words = `${method} ${path} ${operation.summary} ${operation.operationId}`.toLowerCase();
  return box;
}

function draw(api) {
  const main = document.getElementById("operations");
  for (const tag of api.tags) {
    const section = element("section", {}, element("h2", {}, tag.name), element("p", {}, tag.description));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        if (operation.tags[0] === tag.name) section.append(drawn(path, method, operation));
      }
    }
    main.append(section);
  }
  const schemas = element("section", {}, element("h2", {}, "schemas"));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    schemas.append(element("details", {}, element("summary", {}, element("code", {}, name)), element("pre", {}, JSON.stringify(schema, null, 2))));
  }
  main.append(schemas);
  document.getElementById("about").textContent = `${api.info.description} Version ${api.info.version}.`;
}

document.getElementById("filter").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const box of document.querySelectorAll("[data-words]")) box.hidden = !box.dataset.words.includes(wanted);
});

fetch("/openapi.json")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`the server answered ${answer.status}`))))
  .then(draw)
  .catch((error) => { document.getElementById("about").textContent = `/openapi.json cannot be read: ${error.message}`; });
