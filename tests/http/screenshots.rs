//! The status page in a real browser: headless Chromium draws it on a desktop, on a phone and in the dark.
//!
//! `RIB_INGESTER_TEST_SCREENSHOTS=FOLDER` keeps the pictures there for review.

#![allow(missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use crate::common::bmp::{self, Attributes, Open, Peer};
use crate::common::browser::{Browser, DARK};
use crate::common::ingester::{Ingester, eventually};
use crate::common::pg::TestDb;

/// A picture of the page in a window of this width and height: the bytes of a PNG file.
pub fn picture(browser: &Browser, url: &str, (width, height): (u32, u32), more: &[&str], to: &Path) -> Vec<u8> {
    let (window, file) = (format!("--window-size={width},{height}"), format!("--screenshot={}", to.display()));
    browser.run(&[&[window.as_str(), file.as_str()], more, &[url]].concat());
    let picture = std::fs::read(to).unwrap();
    assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n");
    // Its first chunk has the size (ISO/IEC 15948, 11.2.2).
    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    assert_eq!((number(16), number(20)), (width, height));
    picture
}

#[test]
fn a_browser_draws_the_status_page_at_each_size() {
    let Some(browser) = Browser::find() else { return println!("skipped: no Chromium on this machine") };
    let db = TestDb::migrated();
    let mut ingester = Ingester::start(&db.url(), &[]);
    let mut router = ingester.connect();
    let loc_rib = Peer::loc_rib("10.255.0.1");
    router.send(&bmp::initiation(b"edge1.example.net", b"")).send(&bmp::peer_up(
        loc_rib,
        &Open::of(64_500, "10.255.0.1"),
        Some("global"),
    ));
    let routes = bmp::announce(&Attributes::path(&[64_500, 64_501]), "192.0.2.1", &["10.1.0.0/16", "10.2.0.0/16"]);
    router.send(&bmp::route_monitoring(loc_rib, &routes));
    for afi in [1, 2] {
        router.send(&bmp::route_monitoring(loc_rib, &bmp::end_of_rib(afi, 1)));
    }
    eventually("the router is on the page", || ingester.get("/").2.contains("data-name=\"tables\">2/2").then_some(()));

    let kept = std::env::var_os("RIB_INGESTER_TEST_SCREENSHOTS").map(PathBuf::from);
    let folder = kept.unwrap_or_else(|| browser.profile.clone());
    std::fs::create_dir_all(&folder).unwrap();
    let url = format!("http://{}/", ingester.http());
    let dark = [DARK];
    let draw = |name: &str, url: &str, size, more: &[&str]| {
        let picture = picture(&browser, url, size, more, &folder.join(format!("{name}.png")));
        println!("{name}: {} bytes", picture.len());
        picture
    };
    let (desktop, phone) = ((1280, 1000), (500, 1000));
    let blank = draw("blank", "about:blank", desktop, &[]);
    let light = draw("desktop", &url, desktop, &[]);
    let night = draw("dark", &url, desktop, &dark);
    let small = draw("phone", &url, phone, &[]);
    let found = draw("lookup", &format!("{url}lookup?q=10.1.2.3"), phone, &dark);
    for picture in [&light, &night, &small, &found] {
        assert!(picture.len() > 4 * blank.len(), "{} bytes, a blank page has {}", picture.len(), blank.len());
    }
    assert!(light != night, "it is the same in the dark");

    let page = browser.run(&["--dump-dom", &url]);
    for text in ["edge1.example.net", "10.255.0.1", "AS64500", "2/2"] {
        assert!(page.contains(text), "no {text} in {page}");
    }
}
