import Testing
import Website

@Suite struct HTMLTests {
  @Test func everySpecialCharacterIsEscaped() {
    #expect(HTML.escape("<a href=\"x\" id='y'>&amp;") == "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;")
    #expect(HTML.escape("\r\n") == "&#13;\n")
  }

  /// To Swift a quotation mark with an accent is another character than a quotation mark; to a browser it is not.
  @Test(arguments: ["\"", "<", ">", "&", "'"], ["\u{301}", "\u{200D}", "\u{FE0F}", "\u{20E3}"])
  func aCombiningMarkHidesNothing(special: String, mark: String) {
    #expect(!HTML.escape(special + mark).unicodeScalars.contains { String($0) == special && special != "&" })
    #expect(HTML.escape(special + mark).hasPrefix("&"))
    #expect(HTML.escape(special + mark).utf8.count > (special + mark).utf8.count)
  }

  @Test func whatCannotBeSeenIsNamed() {
    #expect(HTML.shown("a\u{202E}b") == "<bdi class=\"text\">a<span class=\"ctl\">U+202E</span>b</bdi>")
    #expect(HTML.shown("\t\u{85}\u{2028}\u{FEFF}\u{2066}").components(of: "class=\"ctl\"") == 5)
    #expect(HTML.shown("<i>") == "<bdi class=\"text\">&lt;i&gt;</bdi>")
  }

  @Test func scriptsAndEmojiKeepTheirJoiners() {
    let family = "👩‍👩‍👧 می‌خواهم"
    #expect(HTML.shown(family) == "<bdi class=\"text\">\(family)</bdi>")
  }

  @Test func aCopyButtonHoldsTheTextItself() {
    let button = HTML.copyButton("a\"\u{301}><b>", label: "client seed")
    #expect(
      button.utf8.elementsEqual(
        "<button type=\"button\" class=\"copy\" data-copy=\"a&quot;\u{301}&gt;&lt;b&gt;\" aria-label=\"Copy the client seed\">Copy</button>"
          .utf8))
  }
}

extension String {
  fileprivate func components(of part: String) -> Int { ranges(of: part).count }

  @Test(arguments: [
    (#"{"a":"\u00e9"}"#, #"{"a":"é"}"#), (#""\ud83c\udfb2""#, "\"🎲\""), (#""\ud83c""#, #""\ud83c""#),
    (#""\udfb2\ud83c""#, #""\udfb2\ud83c""#), (#""\\u00e9""#, #""\\u00e9""#), (#""\\\u00e9""#, #""\\é""#),
    (#""\u0022\u005c\u000a\n\u003c""#, #""\u0022\u005c\u000a\n\u003c""#), (#""\u00E9\u4E2d""#, "\"é中\""), ("\\", "\\"),
    ("\\u00e", "\\u00e"),
    ("", ""), (#""é""#, #""é""#),
  ])
  func jsonIsReadable(json: String, readable: String) {
    #expect(HTML.readable(json: Array(json.utf8)) == readable)
  }
}
