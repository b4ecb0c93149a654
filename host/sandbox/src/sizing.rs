//! How many guests fit. What ends first is the kernel's bound on memory mappings of a process.

use wasmtime::{Enabled, PoolingAllocationConfig};

use crate::memory::MAX_TABLE_ELEMENTS;

/// Mappings that a guest needs: two for its configured stack, used or not, and four while it lives.
const MAPPINGS_EACH: u32 = 6;
/// Mappings left to everything else: compiled code, threads, the store's file.
const MAPPINGS_SPARED: u32 = 8192;
/// What the kernel allows unless told otherwise.
const USUAL_MAPPINGS: u32 = 65_530;
/// Core instances that make up a component, on average; most have four, interpreters thirty.
const CORE_INSTANCES_EACH: u32 = 8;
/// Linear memories that one component may have.
const MEMORIES_EACH: u32 = 8;
/// Slots that stay mapped to the module they last held, so that its next instance is cheap.
const WARM_SLOTS: u32 = 100;
/// Bytes written by a gone guest that its slot keeps, cleared: without them an HTTP handler with a
/// fresh instance for each request answers half as many. What a peak leaves behind is at most this
/// much for each instance that lived at once.
const MEMORY_KEPT: usize = 64 * 1024;
/// The same for tables.
const TABLE_KEPT: usize = 8 * 1024;

/// How many guests the kernel lets a process hold at once; `vm.max_map_count` bounds it.
pub(crate) fn most_instances() -> u32 {
    let found = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let mappings = found.and_then(|text| text.trim().parse().ok()).unwrap_or(USUAL_MAPPINGS);
    fitting(mappings)
}

fn fitting(mappings: u32) -> u32 {
    (mappings.saturating_sub(MAPPINGS_SPARED) / MAPPINGS_EACH).max(64)
}

/// Room for `instances` guests of at most `memory` bytes each.
pub(crate) fn pool(instances: u32, memory: usize) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_EACH))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(2))
        .total_stacks(instances)
        .max_memories_per_component(MEMORIES_EACH)
        .max_tables_per_module(4)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(16 << 20)
        .max_memory_size(memory)
        .max_unused_warm_slots(WARM_SLOTS)
        .linear_memory_keep_resident(MEMORY_KEPT)
        .table_keep_resident(TABLE_KEPT)
        // Where the kernel can tell which pages were written, only those are cleared and kept.
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_kernel_holds_thousands() {
        assert!((9_000..11_000).contains(&fitting(USUAL_MAPPINGS)));
        assert_eq!(fitting(0), 64);
    }
}
