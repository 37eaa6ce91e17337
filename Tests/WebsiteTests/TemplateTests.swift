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

  /// Otherwise it would lead astray on a server whose public URL has a path.
  @Test func everyAddressBeginsWithTheBase() throws {
    for (name, source) in Templates.sources {
      let text = String(decoding: source, as: UTF8.self)
      let addresses = text.matches(of: /\s(?:href|src|action|formaction)="([^"]*)"/).map { String($0.output.1) }
      for address in addresses {
        let isRooted = ["{{base}}", "{{assets}}/", "#"].contains { address.hasPrefix($0) }
        #expect(isRooted, "\(address) in \(name)")
      }
    }
    let templates = try Templates(base: "/a&b")
    #expect(templates.render("error", ["heading": "h"]).contains("href=\"/a&amp;b/\""))
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
