/// What surrounds every page's own part.
struct Layout: Sendable {
  let templates: Templates
  let assets: Assets

  /// One page, before it is HTML.
  struct Content {
    var title: String
    var description: String
    var body: String
    /// The page's script, one of ``Assets``.
    var script: String?
    /// A stylesheet beside the one of all pages, one of ``Assets``.
    var style: String?
    /// The address in the navigation that this page belongs to.
    var section: String?
    var isWide = false
    /// The page's own full address, if links to it are to show a picture.
    var previewURL: String?
  }

  private static let sections = [
    ("/verify", "Verify"), ("/transparency", "Transparency"), ("/docs", "Guides"), ("/api-docs", "API"),
    ("/dashboard", "Dashboard"),
  ]

  func html(_ content: Content) -> String {
    var values: [String: Any] = [
      "title": content.title, "description": content.description, "body": content.body, "assets": assets.path,
      "isWide": content.isWide,
      "navigation": Self.sections.map { address, name in
        ["address": address, "name": name, "current": address == content.section] as [String: Any]
      },
    ]
    if let script = content.script { values["script"] = script }
    if let style = content.style { values["style"] = style }
    if let url = content.previewURL { values["preview"] = ["url": url] }
    return templates.render("layout", values)
  }
}
