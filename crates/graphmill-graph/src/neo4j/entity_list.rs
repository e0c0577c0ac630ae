//! Pages of entities. Few that match are found by what they are looked for with and sorted; many are found by walking the order itself, since then the page is near.

use graphmill_core::{CollectionId, EntityName};

use super::entity_order::{Ordering, Source, Start};
use super::{Neo4jConnection, Params, Transaction};
use crate::Result;
use crate::listing::{EntityQuery, NameMatch, Page, PageStart, TOTAL_CAP};
use crate::records::EntityRecord;

/// See [`crate::GraphStore::entities`].
pub(super) async fn entities(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    query: &EntityQuery,
    start: &PageStart,
    limit: u32,
) -> Result<Page<EntityRecord>> {
    let order = Ordering::of(query);
    let start = Start::read(start, order, limit)?;
    let Some(filter) = Filter::of(query) else { return Ok(Page::default()) };
    let collection = collection.clone();
    neo4j.read_many(move |tx| page(tx, &collection, &filter, order, &start)).await
}

fn page(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    filter: &Filter,
    order: Ordering,
    start: &Start,
) -> Result<Page<EntityRecord>> {
    let query = "MATCH (o:GmCollection {name: $name}) WHERE o.removing IS NULL RETURN o.entities AS entities";
    let Some(mut row) = tx.first(query, Params::new().set("name", collection.as_str()))? else {
        return Ok(Page::default());
    };
    let params = filter.params.clone().set("collection", collection.as_str());
    let conditions = filter.conditions();
    let Some(found) = &filter.found else {
        let source = Source { few: None, conditions, params };
        let listed = order.rows(tx, &source, start)?;
        return Ok(order.page(listed, start, (row.take("entities")?, false)));
    };
    let count =
        format!("{found} WHERE e.collection = $collection{conditions} WITH e LIMIT $cap RETURN count(*) AS found");
    let count: u64 = tx.one(&count, params.clone().set("cap", TOTAL_CAP + 1))?.take("found")?;
    let many = count > TOTAL_CAP;
    let source = Source { few: (!many).then(|| found.clone()), conditions, params };
    let listed = order.rows(tx, &source, start)?;
    Ok(order.page(listed, start, (count.min(TOTAL_CAP), many)))
}

/// What a list leaves out.
struct Filter {
    /// Where what matches is found; `None`: everything matches.
    found: Option<String>,
    conditions: Vec<String>,
    params: Params,
}

impl Filter {
    /// `None` when nothing is left of the part of a name: then no name has it.
    fn of(query: &EntityQuery) -> Option<Self> {
        let mut filter = Self { found: None, conditions: Vec::new(), params: Params::new() };
        if let Some(entity_type) = &query.entity_type {
            filter.found = Some("MATCH (e:GmEntity) USING INDEX SEEK e:GmEntity(collection, type)".to_owned());
            filter.conditions.push("e.type = $type".to_owned());
            filter.params = filter.params.set("type", entity_type);
        }
        let Some(part) = &query.q else { return Some(filter) };
        let operator = match query.name_match {
            NameMatch::Contains => "CONTAINS",
            NameMatch::Prefix => "STARTS WITH",
        };
        let forms = EntityName::search_forms(part);
        let conditions: Vec<String> = (0..forms.len()).map(|n| format!("e.normalised {operator} $form_{n}")).collect();
        for (name, form) in ["form_0", "form_1"].into_iter().zip(&forms) {
            filter.params = filter.params.set(name, form);
        }
        let one = |condition: &String| match query.name_match {
            // This index knows no collections.
            NameMatch::Contains => {
                format!("MATCH (e:GmEntity) USING TEXT INDEX e:GmEntity(normalised) WHERE {condition} RETURN e")
            }
            NameMatch::Prefix => format!(
                "MATCH (e:GmEntity) USING INDEX SEEK e:GmEntity(collection, normalised, gm_order) \
                 WHERE e.collection = $collection AND {condition} AND e.gm_order IS NOT NULL RETURN e"
            ),
        };
        let all: Vec<String> = conditions.iter().map(one).collect();
        filter.found = Some(format!("CALL {{ {} }} WITH e", all.join(" UNION ")));
        // Not as alternatives: the server would look each of them up and sort what it finds.
        filter.conditions.push(format!("any(form IN $forms WHERE e.normalised {operator} form)"));
        filter.params = filter.params.set("forms", forms.clone());
        (!forms.is_empty()).then_some(filter)
    }

    fn conditions(&self) -> String {
        self.conditions.iter().map(|condition| format!(" AND {condition}")).collect()
    }
}
