import Testing
import Website

@Suite struct TemplateTests {
  @Test func everyTemplateCompilesAndRenders() throws {
    let templates = try Templates()
    for name in Templates.sources.keys {
      let text = templates.render(name, ["title": "a", "heading": "b", "message": "c", "notice": ["sentence": "d"]])
      #expect(!text.isEmpty, "\(name)")
      #expect(!text.contains("{{"), "\(name)")
    }
  }

  @Test func aBrokenTemplateIsAnError() {
    #expect(throws: BrokenTemplate.self) {
      _ = try Templates(["broken": Array("{{#open}}never closed".utf8)])
    }
  }

  /// Also where the text begins with what swift-mustache takes for one character with the mark before it.
  @Test(arguments: ["<script>", "\"\u{301} onload=x", "'\u{200D}", "&amp;"])
  func valuesAreEscaped(value: String) throws {
    let templates = try Templates([
      "page": Array("{{#part}}<a title=\"{{value}}\">{{value}}</a>{{/part}}{{>other}}".utf8),
      "other": Array("<b>{{value}}</b>".utf8),
    ])
    let escaped = HTML.escape(value)
    let expected = "<a title=\"\(escaped)\">\(escaped)</a><b>\(escaped)</b>"
    #expect(templates.render("page", ["value": value, "part": ["x": 1]]).utf8.elementsEqual(expected.utf8))
  }
}
