//! A storm beside two goroutines that do not come back (FEATURES G29 to G35): no wrong result, no crash. Those with
//! other allocators are in `tests/allocators`.
#![allow(non_snake_case)]

#[path = "common/hog_storm.rs"]
mod hog_storm;

#[test]
fn G29_floating_point_allocation_spawning_and_channels_beside_two_hogs() {
    hog_storm::storm();
}
