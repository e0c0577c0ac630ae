//! The schema of entity types, in the order that decides ties between votes.

/// Types that the models are asked for, the most telling first. A type outside of the schema is kept as it is and ranks after all of these.
pub const ENTITY_TYPES: [&str; 12] = [
    "organization",
    "person",
    "location",
    "product",
    "component",
    "technology",
    "standard",
    "event",
    "document",
    "identifier",
    "quantity",
    "concept",
];

/// Place of a type in the schema; ties between equal votes go to the lower one, then to the lower bytes.
pub fn entity_type_rank(entity_type: &str) -> usize {
    ENTITY_TYPES.iter().position(|known| *known == entity_type).unwrap_or(ENTITY_TYPES.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_type_ranks_last() {
        assert_eq!(entity_type_rank("organization"), 0);
        assert!(entity_type_rank("concept") < entity_type_rank("spaceship"));
    }
}
