import Testing
import Website

@Suite struct MarkdownTests {
  private func html(_ source: String) -> String { Markdown(source).html }

  @Test func headingsAreNamedAsOnGitHub() {
    let document = Markdown("# A `day's` root\n\n## Which answers to retry?\n")
    #expect(document.headings.map(\.anchor) == ["a-days-root", "which-answers-to-retry"])
    #expect(document.headings.map(\.level) == [1, 2])
    #expect(document.html.contains("<h1 id=\"a-days-root\">A <code>day&#39;s</code> root</h1>"))
  }

  @Test func paragraphsAndLists() {
    #expect(html("one\ntwo\n\nthree") == "<p>one\ntwo</p>\n<p>three</p>\n")
    #expect(html("- a\n  b\n- c") == "<ul>\n<li>a b</li>\n<li>c</li>\n</ul>\n")
    #expect(html("1. a\n2. b") == "<ol>\n<li>a</li>\n<li>b</li>\n</ol>\n")
    #expect(html("Do not\n\n- a;\n- b.") == "<p>Do not</p>\n<ul>\n<li>a;</li>\n<li>b.</li>\n</ul>\n")
  }

  @Test func codeIsLeftAlone() {
    #expect(
      html("```sh\ncurl <a> *b*\n\n# c\n```\nd")
        == "<pre tabindex=\"0\"><code>curl &lt;a&gt; *b*\n\n# c</code></pre>\n<p>d</p>\n")
    #expect(html("    a\n\n      b\n\nc") == "<pre tabindex=\"0\"><code>a\n\n  b</code></pre>\n<p>c</p>\n")
    #expect(html("`a*b*` and ``c`d``") == "<p><code>a*b*</code> and <code>c`d</code></p>\n")
  }

  @Test func tables() {
    let table = html("| a | b |\n|---|---|\n| `x\\|y` | |\n| 1 | *2* |")
    #expect(table.contains("<th scope=\"col\">a</th><th scope=\"col\">b</th>"))
    #expect(table.contains("<tr><td><code>x|y</code></td><td></td></tr>"))
    #expect(table.contains("<tr><td>1</td><td><em>2</em></td></tr>"))
  }

  @Test func emphasisAndEscapes() {
    #expect(html("**a** *b*") == "<p><strong>a</strong> <em>b</em></p>\n")
    #expect(html("2 * 3 * 4") == "<p>2 * 3 * 4</p>\n")
    #expect(html("\\*a\\* \\<b>") == "<p>*a* &lt;b&gt;</p>\n")
  }

  @Test func linksAreResolved() {
    let document = Markdown("[a `b`](x.md#c) and [d](y.md)") { $0 == "x.md#c" ? "/docs/x#c" : nil }
    #expect(document.html == "<p><a href=\"/docs/x#c\">a <code>b</code></a> and d</p>\n")
  }

  @Test func htmlIsText() {
    #expect(html("<script>alert(\"1\")</script>") == "<p>&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;</p>\n")
    #expect(html("[x](\"onmouseover=y)") == "<p><a href=\"&quot;onmouseover=y\">x</a></p>\n")
  }
}
