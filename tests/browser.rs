//! Opens the report in Chromium: at the width of a desk and of a telephone, light and dark. Needs a browser, and is run by `scripts/test` where there is one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper of tests fails the test")]

mod common;

use std::fs;
use std::process::Command;

use common::Home;
use serde_json::Value;

/// What the page is watched by, before anything else in it runs.
const WATCH: &str = "<script>window.wrong=[];\
    addEventListener('error',e=>wrong.push(String(e.message)));\
    addEventListener('unhandledrejection',e=>wrong.push(String(e.reason)));\
    addEventListener('securitypolicyviolation',e=>wrong.push(e.violatedDirective+' '+e.blockedURI));\
    console.error=(...a)=>wrong.push(a.join(' '));</script>";

/// Puts the pointer on a point of a picture, and tells what is seen.
const LOOK: &str = "<script>addEventListener('load',()=>{\
    const seen=e=>e.getBoundingClientRect().width>0;\
    const mark=[...document.querySelectorAll('svg .dot[data-tip]')].find(seen);\
    const pictures=[...document.querySelectorAll('figure svg')].filter(seen);\
    mark.scrollIntoView({block:'center'});\
    const box=mark.getBoundingClientRect(),tip=document.getElementById('tip');\
    const before=tip.hidden;\
    mark.dispatchEvent(new PointerEvent('pointermove',{bubbles:true,clientX:box.x+2,clientY:box.y+2}));\
    const at=tip.getBoundingClientRect();\
    parent.postMessage(JSON.stringify({width:innerWidth,\
      beyond:document.documentElement.scrollWidth-document.documentElement.clientWidth,\
      pictures:pictures.length,figures:document.querySelectorAll('figure').length,before,\
      tip:tip.hidden?'':tip.textContent,inside:at.left>=0&&at.right<=innerWidth,\
      ground:getComputedStyle(document.body).backgroundColor,\
      loaded:performance.getEntriesByType('resource').map(r=>r.name.slice(0,80)),wrong}),'*');\
    })</script></body>";

/// The page that holds the report at a width, because windows have a least width, and writes down what it tells.
const FRAME: &str = "<!doctype html><iframe src=\"report.html\" style=\"border:0;width:WIDTHpx;height:844px\"></iframe>\
    <pre id=\"told\"></pre><script>addEventListener('message',e=>{document.getElementById('told').textContent=e.data})</script>";

/// The browser, by the names it is installed under.
fn browser() -> &'static str {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let answers =
        |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    names.iter().find(answers).expect("no Chromium was found: install `chromium`")
}

/// What the report tells at a width and in a colour scheme.
fn look(home: &Home, width: u32, is_dark: bool) -> Value {
    let page = home.path().join("frame.html");
    fs::write(&page, FRAME.replace("WIDTH", &width.to_string())).unwrap();
    let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!is_dark));
    let profile = format!("--user-data-dir={}", home.path().join("browser").display());
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--virtual-time-budget=5000",
        "--dump-dom",
    ];
    let output = Command::new(browser())
        .args(flags)
        .args([&scheme, &profile, "--window-size=1400,900"])
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let told =
        text.split_once("<pre id=\"told\">").and_then(|(_, rest)| rest.split_once("</pre>")).map(|(told, _)| told);
    let told = told.unwrap_or_default().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("the page told nothing ({error}): {text:.2000}"))
}

#[test]
#[ignore = "needs Chromium; `scripts/test` runs it where there is one"]
fn the_report_is_sound_at_every_width_and_in_both_schemes() {
    let home = Home::new();
    let (code, _, err) = home.run(&["report", "amd-epyc-zen4-2c-kvm.cpu", "-o", "report.html"]);
    assert_eq!((code, err.as_str()), (0, "wrote report.html\n"));
    let path = home.path().join("report.html");
    let page = fs::read_to_string(&path).unwrap();
    fs::write(&path, page.replacen("<head>", &format!("<head>{WATCH}"), 1).replace("</body>", LOOK)).unwrap();
    let mut grounds = Vec::new();
    for (width, is_dark) in [(1280, false), (1280, true), (390, false), (390, true)] {
        let told = look(&home, width, is_dark);
        let case = format!("{width} px, dark {is_dark}: {told}");
        assert_eq!(told["width"], width, "{case}");
        assert_eq!(told["wrong"], Value::Array(Vec::new()), "{case}");
        assert_eq!(told["loaded"], Value::Array(Vec::new()), "{case}");
        assert!(told["beyond"].as_i64().unwrap() <= 0, "wider than its window: {case}");
        // Each picture is there twice, for wide and narrow windows, and one of the two is seen.
        assert!(told["figures"].as_u64().unwrap() >= 5 && told["pictures"] == told["figures"], "{case}");
        assert_eq!(told["before"], true, "{case}");
        let tip = told["tip"].as_str().unwrap();
        assert!(tip.chars().any(|character| character.is_ascii_digit()), "no value at the pointer: {case}");
        assert_eq!(told["inside"], true, "{case}");
        grounds.push(told["ground"].clone());
    }
    assert_eq!((&grounds[0], &grounds[1]), (&grounds[2], &grounds[3]));
    assert_ne!(grounds[0], grounds[1], "both schemes have the same ground");
}
