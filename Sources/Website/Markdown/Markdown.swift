/// The part of Markdown that this project's own documents use, as HTML: headings, paragraphs, flat lists, fenced and
/// indented code, tables, and inline code, links, emphasis and backslash escapes. It renders documents that are built in,
/// never anyone's input; all text is escaped all the same, and HTML is not passed through.
package struct Markdown {
  /// A heading, as a table of contents needs it.
  package struct Heading: Equatable {
    package let level: Int
    package let text: String
    /// What a link names it by; the same as on GitHub.
    package let anchor: String
  }

  package private(set) var html = ""
  package private(set) var headings: [Heading] = []
  /// Where each heading stands in `html`, in bytes.
  private var places: [Range<Int>] = []

  /// Each heading, with the text between it and the next, without markup.
  package var sections: [(heading: Heading, text: String)] {
    let bytes = Array(html.utf8)
    let ends = places.dropFirst().map(\.lowerBound) + [bytes.count]
    return zip(headings, zip(places, ends)).map { ($0, HTML.text(in: bytes[$1.0.upperBound..<$1.1])) }
  }

  /// Turns a link's address as written into the one to follow; nil leaves its text alone.
  private let resolve: (String) -> String?

  package init(_ source: String, resolve: @escaping (String) -> String? = { $0 }) {
    self.resolve = resolve
    var lines = source.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)[...]
    while let line = lines.first {
      if line.allSatisfy({ $0 == " " }) {
        lines.removeFirst()
      } else if line.hasPrefix("```") {
        fence(&lines)
      } else if line.hasPrefix("    ") {
        indented(&lines)
      } else if line.hasPrefix("#") {
        heading(lines.removeFirst())
      } else if line.hasPrefix("|") {
        table(&lines)
      } else if Self.marker(of: line) != nil {
        list(&lines)
      } else {
        paragraph(&lines)
      }
    }
  }

  // MARK: Blocks

  private mutating func fence(_ lines: inout ArraySlice<String>) {
    lines.removeFirst()
    let body = lines.prefix { !$0.hasPrefix("```") }
    lines = lines.dropFirst(body.count).dropFirst()
    code(body.joined(separator: "\n"))
  }

  private mutating func indented(_ lines: inout ArraySlice<String>) {
    var body: [String] = []
    while let line = lines.first, line.hasPrefix("    ") || line.isEmpty {
      body.append(String(line.dropFirst(4)))
      lines.removeFirst()
    }
    while body.last?.isEmpty == true { body.removeLast() }
    code(body.joined(separator: "\n"))
  }

  /// A block wider than the page scrolls, so the keyboard must be able to reach it.
  private mutating func code(_ text: String) {
    html += "<pre tabindex=\"0\"><code>\(HTML.escape(text))</code></pre>\n"
  }

  private mutating func heading(_ line: String) {
    let level = line.prefix { $0 == "#" }.count
    let text = line.dropFirst(level).trimmed
    let plain = text.filter { $0 != "`" }
    let anchor = Self.anchor(plain)
    headings.append(Heading(level: level, text: plain, anchor: anchor))
    let start = html.utf8.count
    html += "<h\(level) id=\"\(HTML.escape(anchor))\">\(inline(text))</h\(level)>\n"
    places.append(start..<html.utf8.count)
  }

  /// What GitHub makes of a heading: lowercase, spaces as hyphens, punctuation dropped.
  static func anchor(_ text: String) -> String {
    String(
      text.lowercased().compactMap { $0 == " " ? "-" : $0.isLetter || $0.isNumber || "-_".contains($0) ? $0 : nil })
  }

  private mutating func table(_ lines: inout ArraySlice<String>) {
    var rows: [[String]] = []
    while let line = lines.first, line.hasPrefix("|") {
      rows.append(Self.cells(line))
      lines.removeFirst()
    }
    let isRule = rows.count > 1 && rows[1].allSatisfy { !$0.isEmpty && $0.allSatisfy { "-: ".contains($0) } }
    html += "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table\"><table>\n"
    if isRule {
      html += "<thead><tr>\(rows[0].map { "<th scope=\"col\">\(inline($0))</th>" }.joined())</tr></thead>\n"
      rows.removeFirst(2)
    }
    html += "<tbody>\n"
    for row in rows { html += "<tr>\(row.map { "<td>\(inline($0))</td>" }.joined())</tr>\n" }
    html += "</tbody></table></div>\n"
  }

  /// The cells of a row. A bar in inline code or after a backslash does not end a cell.
  private static func cells(_ line: String) -> [String] {
    var cells: [String] = []
    var cell = ""
    var inCode = false
    var characters = line.dropFirst()[...]
    while let next = characters.popFirst() {
      if next == "\\", characters.first == "|" {
        cell.append(characters.removeFirst())
        continue
      }
      if next == "`" { inCode.toggle() }
      if next == "|" && !inCode {
        cells.append(cell.trimmed)
        cell = ""
      } else {
        cell.append(next)
      }
    }
    if !cell.trimmed.isEmpty { cells.append(cell.trimmed) }
    return cells
  }

  private static func marker(of line: String) -> (tag: String, length: Int)? {
    if line.hasPrefix("- ") || line.hasPrefix("* ") { return ("ul", 2) }
    let digits = line.prefix { $0.isASCII && $0.isNumber }.count
    return digits > 0 && line.dropFirst(digits).hasPrefix(". ") ? ("ol", digits + 2) : nil
  }

  private mutating func list(_ lines: inout ArraySlice<String>) {
    guard let (tag, _) = lines.first.flatMap(Self.marker) else { return }
    var items: [String] = []
    while let line = lines.first {
      if let marker = Self.marker(of: line), marker.tag == tag {
        items.append(String(line.dropFirst(marker.length)))
      } else if !line.trimmed.isEmpty, line.hasPrefix("  "), !items.isEmpty {
        items[items.count - 1] += " " + line.trimmed
      } else {
        break
      }
      lines.removeFirst()
      // An empty line inside a list is between two of its items, or its end.
      if lines.first?.isEmpty == true, let after = lines.dropFirst().first, Self.marker(of: after)?.tag == tag {
        lines.removeFirst()
      }
    }
    html += "<\(tag)>\n\(items.map { "<li>\(inline($0))</li>\n" }.joined())</\(tag)>\n"
  }

  private mutating func paragraph(_ lines: inout ArraySlice<String>) {
    var text: [String] = []
    while let line = lines.first, !line.isEmpty, !line.hasPrefix("#"), !line.hasPrefix("```"), !line.hasPrefix("|"),
      text.isEmpty || Self.marker(of: line)?.tag != "ul"
    {
      text.append(line)
      lines.removeFirst()
    }
    html += "<p>\(inline(text.joined(separator: "\n")))</p>\n"
  }

  // MARK: Inline

  private func inline(_ source: String) -> String {
    var out = ""
    var rest = source[...]
    while let next = rest.first {
      if next == "\\", let escaped = rest.dropFirst().first, escaped.isPunctuation || escaped.isSymbol {
        out += HTML.escape(String(escaped))
        rest = rest.dropFirst(2)
      } else if next == "`", let (body, after) = Self.code(in: rest) {
        out += "<code>\(HTML.escape(body))</code>"
        rest = after
      } else if next == "[", let (text, address, after) = Self.link(in: rest) {
        if let target = resolve(address) {
          out += "<a href=\"\(HTML.escape(target))\">\(inline(text))</a>"
        } else {
          out += inline(text)
        }
        rest = after
      } else if rest.hasPrefix("**"), let (body, after) = Self.delimited(rest, by: "**") {
        out += "<strong>\(inline(body))</strong>"
        rest = after
      } else if next == "*", let (body, after) = Self.delimited(rest, by: "*") {
        out += "<em>\(inline(body))</em>"
        rest = after
      } else {
        out += HTML.escape(String(next))
        rest = rest.dropFirst()
      }
    }
    return out
  }

  /// A run of backticks, what is between it and the next run of the same length, and what comes after.
  private static func code(in text: Substring) -> (String, Substring)? {
    let run = text.prefix { $0 == "`" }
    var rest = text.dropFirst(run.count)
    var body = ""
    while let next = rest.first {
      if next == "`" {
        let closing = rest.prefix { $0 == "`" }
        rest = rest.dropFirst(closing.count)
        if closing.count == run.count {
          if run.count > 1 { body = body.trimmed }
          return (body.replacing("\n", with: " "), rest)
        }
        body += closing
      } else {
        body.append(next)
        rest = rest.dropFirst()
      }
    }
    return nil
  }

  /// `[text](address)`, with brackets allowed in the text if they pair up.
  private static func link(in text: Substring) -> (String, String, Substring)? {
    var depth = 0
    for index in text.indices {
      if text[index] == "[" { depth += 1 }
      if text[index] == "]" { depth -= 1 }
      guard depth == 0 else { continue }
      let after = text[text.index(after: index)...]
      guard after.first == "(", let end = after.firstIndex(of: ")") else { return nil }
      let address = after[after.index(after: after.startIndex)..<end]
      guard !address.contains(where: \.isWhitespace) else { return nil }
      return (
        String(text[text.index(after: text.startIndex)..<index]), String(address), after[after.index(after: end)...]
      )
    }
    return nil
  }

  /// What stands between two marks that hug it, as in `*this*` but not in `2 * 3 * 4`.
  private static func delimited(_ text: Substring, by mark: String) -> (String, Substring)? {
    let inner = text.dropFirst(mark.count)
    guard let first = inner.first, !first.isWhitespace, let range = inner.firstRange(of: mark),
      range.lowerBound > inner.startIndex, !inner[inner.index(before: range.lowerBound)].isWhitespace
    else { return nil }
    return (String(inner[..<range.lowerBound]), inner[range.upperBound...])
  }
}

extension StringProtocol {
  /// Without the spaces at its ends.
  fileprivate var trimmed: String {
    String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
  }
}
