//! The storm beside hogs, with jemalloc.
#![allow(non_snake_case)]

#[path = "../../common/hog_storm.rs"]
mod hog_storm;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[test]
fn G29_floating_point_allocation_spawning_and_channels_beside_two_hogs() {
    hog_storm::storm();
}
