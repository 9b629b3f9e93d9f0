//! Where a redirect leads.

use http::{HeaderMap, Method, StatusCode, Uri, header};

/// The method of the request that follows a response with this status; `None` if it is no redirect.
pub(super) fn method(status: StatusCode, method: &Method) -> Option<Method> {
    match status.as_u16() {
        301..=303 if *method == Method::HEAD => Some(Method::HEAD),
        301..=303 => Some(Method::GET),
        307 | 308 => Some(method.clone()),
        _ => None,
    }
}

/// What `location` means at `base`.
pub(super) fn target(base: &Uri, headers: &HeaderMap) -> Option<Uri> {
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let location = location.split('#').next()?;
    let scheme = base.scheme_str()?;
    let authority = base.authority()?;
    let text = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let (path, query) =
            location.split_once('?').map_or((location, None), |(path, query)| (path, Some(query)));
        let path = if path.is_empty() { base.path().to_owned() } else { join(base.path(), path) };
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{scheme}://{authority}{path}{query}")
    };
    text.parse().ok()
}

/// A relative path beside `base`, without `.` and `..`.
fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').skip(1).collect();
    parts.pop();
    let mut relative = path.split('/').peekable();
    while let Some(part) = relative.next() {
        let last = relative.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    parts.pop();
                }
                if last {
                    parts.push("");
                }
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether what was said in secret would be said openly.
pub(super) fn is_downgrade(from: &Uri, to: &Uri) -> bool {
    from.scheme_str() == Some("https") && to.scheme_str() != Some("https")
}

/// Takes out what another host must not see.
pub(super) fn strip(headers: &mut HeaderMap) {
    for name in [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, header::WWW_AUTHENTICATE]
    {
        headers.remove(name);
    }
}

#[test]
fn locations_are_read_as_they_are_meant() {
    let base: Uri = "http://host:81/a/b?q".parse().unwrap();
    let at = |location: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, location.parse().unwrap());
        target(&base, &headers).unwrap().to_string()
    };
    assert_eq!(at("http://other/x#y"), "http://other/x");
    assert_eq!(at("//other/x"), "http://other/x");
    assert_eq!(at("/x?y"), "http://host:81/x?y");
    assert_eq!(at("x"), "http://host:81/a/x");
    assert_eq!(at("../x/./y/"), "http://host:81/x/y/");
    assert_eq!(at("?z"), "http://host:81/a/b?z");
    assert_eq!(at(".."), "http://host:81/");
}
