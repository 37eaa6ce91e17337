import Testing
import Website

@Suite struct DocumentSearchTests {
  private static let search = DocumentSearch([
    section("Retrying", "Send the Idempotency-Key again. A retry draws nothing."),
    section("Keys", "An API key is sent with each request. Retries are safe."),
    section("Errors", "`idempotency_in_flight`: wait. Ärger mit Schlüsseln."),
    section("Empty", ""),
  ])

  private static func section(_ title: String, _ text: String) -> DocumentSearch.Section {
    .init(title: title, page: "A guide", address: "/docs/guide#\(title)", text: text)
  }

  private func titles(_ query: String) -> [String] { Self.search.results(for: query).sections.map(\.title) }

  @Test(arguments: [
    ("retr", ["Retrying", "Keys"]), ("RETRIES", ["Keys"]), ("key", ["Keys", "Retrying"]), ("key retry", ["Retrying"]),
    ("idempotency_in_flight", ["Errors"]), ("in flight", ["Errors"]), ("ärger schlüss", ["Errors"]),
    ("empty", ["Empty"]), ("nowhere", []), ("key nowhere", []), ("", []), (" .,-_ ", []), ("<b>&", []),
  ])
  func wordsAreFoundByTheirBeginnings(query: String, expected: [String]) {
    #expect(titles(query) == expected)
  }

  @Test func thereAreNotTooMany() {
    let many = DocumentSearch((0..<50).map { Self.section("Section \($0)", "word") })
    let (sections, isCut) = many.results(for: "word")
    #expect(sections.count == DocumentSearch.mostResults && isCut)
    #expect(sections.map(\.title) == (0..<DocumentSearch.mostResults).map { "Section \($0)" })
    #expect(!Self.search.results(for: "key").isCut)
  }

  @Test func anExcerptBeginsNearTheWord() {
    let long = Self.section(
      "x", String(repeating: "before ", count: 40) + "the Word itself" + String(repeating: " after", count: 90))
    let excerpt = DocumentSearch.excerpt(of: long, for: "word")
    #expect(excerpt.hasPrefix("… before") && excerpt.contains("the Word itself") && excerpt.hasSuffix("…"))
    #expect(excerpt.count <= 223)
    #expect(DocumentSearch.excerpt(of: Self.section("x", "Short text."), for: "text") == "Short text.")
    #expect(DocumentSearch.excerpt(of: Self.section("Word", ""), for: "word") == "")
  }

  @Test func sectionsOfADocument() {
    let document = Markdown(
      "# A *title*\n\nSome `<code>` & [a link](x).\n\n## Next\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n## Last")
    #expect(document.sections.map(\.heading.anchor) == ["a-title", "next", "last"])
    #expect(document.sections.map(\.text) == ["Some <code> & a link.", "a b 1 2", ""])
  }
}
