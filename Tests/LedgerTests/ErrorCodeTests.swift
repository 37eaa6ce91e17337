import Foundation
import Ledger
import Testing

/// The guide to errors has a section for each code, and for nothing else.
struct ErrorCodeTests {
  @Test func eachCodeIsExplained() throws {
    let page = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/errors.md")
    let sections = try String(contentsOf: page, encoding: .utf8).split(separator: "\n### `").dropFirst().map {
      section in
      section.split(separator: "\n## ", maxSplits: 1)[0].split(separator: "`", maxSplits: 1)
    }
    #expect(sections.map { String($0[0]) }.sorted() == Refusal.Code.allCases.map(\.rawValue).sorted())
    for section in sections {
      let text = section[1].replacing("\n", with: " ")
      #expect(text.contains("Status ") || text.contains("batch only"), "\(section[0])")
      #expect(text.contains("**Retry:** "), "\(section[0])")
    }
  }
}
