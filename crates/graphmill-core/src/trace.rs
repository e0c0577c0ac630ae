//! Spans for collectors of traces.

/// Target of every span of ours. Only a collector listens to it (the log does not), so that without one a span costs a comparison. Spans name things by
/// id and kind; what people wrote, keys and tokens never stand in them.
pub const TARGET: &str = "graphmill::trace";
