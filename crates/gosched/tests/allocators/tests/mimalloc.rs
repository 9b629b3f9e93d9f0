//! The storm beside hogs, with mimalloc.
#![allow(non_snake_case)]

#[path = "../../common/hog_storm.rs"]
mod hog_storm;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[test]
fn G29_floating_point_allocation_spawning_and_channels_beside_two_hogs() {
    hog_storm::storm();
}
