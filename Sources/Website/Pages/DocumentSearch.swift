import API

/// Finds sections of the guides, and operations of the reference, by the words that are in them.
package struct DocumentSearch: Sendable {
  /// What is found: a heading with the text below it.
  package struct Section: Sendable, Equatable {
    package let title: String
    /// The title of the page that it is on.
    package let page: String
    package let address: String
    package let text: String

    package init(title: String, page: String, address: String, text: String) {
      self.title = title
      self.page = page
      self.address = address
      self.text = text
    }
  }

  /// The longest query, in bytes.
  package static let longestQuery = 100
  package static let mostResults = 20

  private let sections: [Section]
  /// Every word in lowercase, in order, with the numbers of the sections that have it.
  private let words: [(word: String, sections: [Int])]

  package init(_ sections: [Section]) {
    self.sections = sections
    var places: [String: [Int]] = [:]
    for (number, section) in sections.enumerated() {
      for word in Set(Self.words(in: section.title) + Self.words(in: section.text)) {
        places[word, default: []].append(number)
      }
    }
    words = places.map { ($0.key, $0.value) }.sorted { $0.0 < $1.0 }
  }

  /// The sections that have each word of the query, or a longer word that begins with it. Those with more of the words in
  /// their titles come first.
  ///
  /// - Returns: ``mostResults`` at the most, and whether there are more; nothing for a query without a word.
  package func results(for query: String) -> (sections: [Section], isCut: Bool) {
    let sought = Set(Self.words(in: query))
    var candidates: Set<Int>?
    for word in sought {
      let having = having(prefix: word)
      candidates = candidates?.intersection(having) ?? having
    }
    let found = (candidates ?? []).map { number in
      let title = Self.words(in: sections[number].title)
      return (number, score: sought.count { word in title.contains { $0.hasPrefix(word) } })
    }.sorted { ($1.score, $0.0) < ($0.score, $1.0) }
    return (found.prefix(Self.mostResults).map { sections[$0.0] }, found.count > Self.mostResults)
  }

  private func having(prefix: String) -> Set<Int> {
    var (low, high) = (0, words.count)
    while low < high {
      let middle = (low + high) / 2
      if words[middle].word < prefix { low = middle + 1 } else { high = middle }
    }
    return words[low...].prefix { $0.word.hasPrefix(prefix) }.reduce(into: []) { $0.formUnion($1.sections) }
  }

  /// Some of a section's text, from about where the first of the query's words is.
  package static func excerpt(of section: Section, for query: String) -> String {
    let sought = words(in: query)
    let parts = split(section.text)
    let first = parts.firstIndex { part in sought.contains { part.lowercased().hasPrefix($0) } } ?? 0
    guard parts.indices.contains(first) else { return "" }
    let start = parts[max(0, first - 12)].startIndex
    let text = String(section.text[start...]).shortened(to: 220)
    return start == parts[0].startIndex ? text : "… " + text
  }

  private static func words(in text: String) -> [String] { split(text).map { $0.lowercased() } }

  private static func split(_ text: String) -> [Substring] { text.split { !$0.isLetter && !$0.isNumber } }
}

/// `/docs/search`.
struct SearchPage {
  let layout: Layout
  let search: DocumentSearch

  /// - Returns: the page, and the status to send it with.
  func html(_ query: String) -> (html: String, status: Int) {
    var values: [String: Any] = ["query": query]
    let isTooLong = query.utf8.count > DocumentSearch.longestQuery
    if isTooLong {
      values["problem"] = ["sentence": "q must have at most \(DocumentSearch.longestQuery) bytes."]
    } else {
      let (sections, isCut) = search.results(for: query)
      values["isSearch"] = !query.isEmpty
      values["isEmpty"] = sections.isEmpty
      values["isCut"] = isCut
      values["results"] = sections.map {
        [
          "title": $0.title, "page": $0.page, "address": $0.address,
          "excerpt": DocumentSearch.excerpt(of: $0, for: query),
        ]
      }
    }
    let html = layout.html(
      .init(
        title: "Search – Fairdraw", description: "Search the guides and the API of Fairdraw.",
        body: layout.templates.render("found", values), section: "/docs"))
    return (html, isTooLong ? 400 : 200)
  }
}
