import ArgumentParser
import Fairness
import Foundation
import JSON

/// The entrants of a raffle, numbered from 1 in the order of their file.
struct RaffleList {
  struct Entry {
    /// The line of the file that it begins on.
    let line: Int
    let text: String
  }

  /// The longest file that is read, in bytes.
  static let longest = 32 << 20
  /// The longest entry, in bytes.
  static let longestEntry = 1000

  /// The file's name, without its folder.
  let name: String
  /// The whole file, as it is hashed.
  let bytes: [UInt8]
  /// The SHA-256 of the file, in lowercase hex.
  let hash: String
  let entries: [Entry]
  /// How the entries follow from the file, in a sentence.
  let rule: String

  /// - Throws: ``CommandFailure`` if it cannot be said for certain who the entrants are.
  init(file: String, options: RaffleListOptions) throws {
    let url = URL(fileURLWithPath: file)
    name = url.lastPathComponent
    bytes = try Self.read(url)
    hash = LogDigest(of: bytes).description
    var reader = try Reader(bytes, of: file, isTable: ["csv", "tsv"].contains(url.pathExtension.lowercased()), options)
    try reader.run()
    entries = reader.entries
    rule = reader.rule
    guard !entries.isEmpty else { throw CommandFailure("\(file) has no entries") }
  }

  private static func read(_ url: URL) throws(CommandFailure) -> [UInt8] {
    do {
      let file = try FileHandle(forReadingFrom: url)
      defer { try? file.close() }  // it was only read
      guard let data = try file.read(upToCount: longest + 1), !data.isEmpty else {
        throw CommandFailure("\(url.path) is empty")
      }
      guard data.count <= longest else {
        throw CommandFailure("\(url.path) is longer than \(longest >> 20) MiB; leave out columns that are not needed")
      }
      return Array(data)
    } catch let failure as CommandFailure {
      throw failure
    } catch {
      throw CommandFailure("\(url.path) cannot be read: \(reason(for: error))")
    }
  }
}

/// How the entrants are read from their file.
struct RaffleListOptions: ParsableArguments {
  enum Duplicates: String, ExpressibleByArgument, CaseIterable { case refuse, keep, once }

  @Option(
    name: .customLong("column"), parsing: .singleValue,
    help: ArgumentHelp(
      "The column that the entries are in, by its name in the first row or by its number; may be repeated. (default: the only one)",
      valueName: "name|number"))
  var columns: [String] = []

  @Flag(inversion: .prefixedNo, help: "Whether the first row holds the names of the columns.")
  var header: Bool?

  @Option(
    help: ArgumentHelp(
      "What to do about entries with the same text: refuse the list, keep them as tickets of their own, or count each once. (default: refuse)",
      valueName: "refuse|keep|once"))
  var duplicates: Duplicates?
}

/// Goes through a file once, row by row.
private struct Reader {
  private let bytes: ArraySlice<UInt8>
  private let file: String
  private let options: RaffleListOptions
  private let separator: UInt8?
  private var columns: [Int]?
  private var hasHeader = false
  private var columnNames: [String] = []
  private var isFirst = true
  /// The line of the first entry with a text.
  private var seen: [[UInt8]: Int] = [:]
  private var repeated: [String] = []
  private(set) var entries: [RaffleList.Entry] = []

  init(_ bytes: [UInt8], of file: String, isTable: Bool, _ options: RaffleListOptions) throws(CommandFailure) {
    (self.file, self.options) = (file, options)
    if bytes.starts(with: [0x50, 0x4B, 3, 4]) || bytes.starts(with: [0xD0, 0xCF, 0x11, 0xE0]) {
      throw CommandFailure("\(file) is a spreadsheet; save it as \"CSV UTF-8\" and give that file")
    }
    if bytes.contains(0) { throw CommandFailure("\(file) is not UTF-8 text; save it as \"CSV UTF-8\"") }
    self.bytes = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes[...]
    separator = isTable || !options.columns.isEmpty ? Self.separator(in: self.bytes) : nil
  }

  /// The mark that separates the cells of the first row: the one that it has most of.
  private static func separator(in bytes: ArraySlice<UInt8>) -> UInt8 {
    var counts: [UInt8: Int] = [:]
    var isQuoted = false
    var hasText = false
    for byte in bytes {
      if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
      if isQuoted { continue }
      if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
        if hasText { break }
        counts = [:]
        continue
      }
      if [UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "\t")].contains(byte) {
        counts[byte, default: 0] += 1
      } else if byte != UInt8(ascii: " ") {
        hasText = true
      }
    }
    return counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? UInt8(ascii: ",")
  }

  mutating func run() throws {
    var cells: [[UInt8]] = []
    var cell: [UInt8] = []
    var (line, start) = (1, 1)
    var (isQuoted, wasQuoted) = (false, false)
    var previous: UInt8 = 0
    for byte in bytes {
      defer { previous = byte }
      if byte == UInt8(ascii: "\n"), previous == UInt8(ascii: "\r"), !isQuoted { continue }
      if isQuoted {
        if byte == UInt8(ascii: "\"") { isQuoted = false } else { cell.append(byte) }
        if byte == UInt8(ascii: "\n") || (byte == UInt8(ascii: "\r")) { line += 1 }
        if byte == UInt8(ascii: "\n"), previous == UInt8(ascii: "\r") { line -= 1 }
      } else if byte == UInt8(ascii: "\""), separator != nil,
        wasQuoted ? previous == byte : cell.isEmpty
      {
        // A second quote at once stands for itself.
        if wasQuoted { cell.append(byte) }
        (isQuoted, wasQuoted) = (true, true)
      } else if byte == separator {
        cells.append(cell)
        (cell, wasQuoted) = ([], false)
      } else if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") {
        try take(cells + [cell], line: start)
        (cells, cell, wasQuoted) = ([], [], false)
        line += 1
        start = line
      } else {
        cell.append(byte)
      }
    }
    guard !isQuoted else { throw CommandFailure("\(file), line \(start): a quotation mark is never closed") }
    try take(cells + [cell], line: start)
    guard repeated.isEmpty else {
      throw CommandFailure(
        "\(file) has \(repeated.count) entries that stand in it before: \(repeated.prefix(5).joined(separator: ", "))"
          + (repeated.count > 5 ? ", …" : "") + ". Say --duplicates keep if each is a ticket of its own, "
          + "or --duplicates once to count each text once")
    }
  }

  /// A row: the header, an entry, or an empty one.
  private mutating func take(_ cells: [[UInt8]], line: Int) throws(CommandFailure) {
    if cells.allSatisfy({ $0.allSatisfy { $0 == 0x20 || $0 == 0x09 } }) { return }
    if isFirst {
      isFirst = false
      columns = try findColumns(cells, line: line)
      if hasHeader { return }
    }
    var parts: [String] = []
    for column in columns ?? [] {
      let text = column < cells.count ? try text(cells[column], line: line) : ""
      if !text.isEmpty { parts.append(text) }
    }
    let entry = parts.joined(separator: " ")
    guard !entry.isEmpty else {
      throw CommandFailure("\(file), line \(line): the row has nothing in \(columnTitle)")
    }
    guard entry.utf8.count <= RaffleList.longestEntry else {
      throw CommandFailure("\(file), line \(line): the entry is longer than \(RaffleList.longestEntry) bytes")
    }
    guard options.duplicates != .keep, let earlier = seen.updateValue(line, forKey: Array(entry.utf8)) else {
      return entries.append(.init(line: line, text: entry))
    }
    if options.duplicates != .once { repeated.append("\(Terminal.printable(entry)) (lines \(earlier) and \(line))") }
  }

  private func text(_ cell: [UInt8], line: Int) throws(CommandFailure) -> String {
    guard UTF8Check.isValid(cell) else {
      throw CommandFailure("\(file), line \(line), is not UTF-8 text; save the file as \"CSV UTF-8\"")
    }
    return String(decoding: cell, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  // MARK: The first row

  private mutating func findColumns(_ cells: [[UInt8]], line: Int) throws(CommandFailure) -> [Int] {
    var names: [String] = []
    for cell in cells { names.append(try text(cell, line: line)) }
    let shown = names.enumerated().map { "\($0 + 1) \(Terminal.printable($1))" }.joined(separator: ", ")
    guard cells.count == 1 || !options.columns.isEmpty else {
      throw CommandFailure(
        "\(file) has \(cells.count) columns: \(shown). Say with --column which of them hold the entry")
    }
    var found: [Int] = []
    for wanted in options.columns {
      if let number = Int(wanted) {
        guard names.indices.contains(number - 1) else {
          throw CommandFailure("\(file) has no column \(number), but: \(shown)")
        }
        found.append(number - 1)
      } else {
        guard options.header != false, let place = names.firstIndex(where: { $0.utf8.elementsEqual(wanted.utf8) })
        else { throw CommandFailure("\(file) has no column \"\(Terminal.printable(wanted))\", but: \(shown)") }
        hasHeader = true
        found.append(place)
      }
    }
    if found.isEmpty { found = [0] }
    hasHeader = hasHeader || options.header == true
    if !hasHeader, options.header == nil, let title = found.map({ names[$0] }).first(where: Self.looksLikeTitle) {
      throw CommandFailure(
        "the first row of \(file) looks like names of columns (\"\(title)\"). Say --header if it is none of the "
          + "entrants, or --no-header if it is one")
    }
    if hasHeader { columnNames = found.map { names[$0] } }
    return found
  }

  private static func looksLikeTitle(_ text: String) -> Bool {
    let titles = [
      "name", "names", "full name", "first name", "last name", "surname", "email", "e-mail", "e-mail address",
      "email address", "entry", "entries", "entrant", "entrants", "participant", "participants", "ticket", "tickets",
      "user", "username", "handle", "id", "no", "no.", "number", "phone", "address", "timestamp", "vorname", "nachname",
      "nom", "prénom", "nombre",
    ]
    return titles.contains(text.lowercased())
  }

  private var columnTitle: String {
    let names = columnNames.isEmpty ? (columns ?? []).map { "\($0 + 1)" } : columnNames.map { "\"\($0)\"" }
    return names.count == 1 ? "column \(names[0])" : "the columns \(names.joined(separator: " and "))"
  }

  /// How the entries follow from the file.
  var rule: String {
    let row = separator == nil ? "line" : "row"
    var sentence =
      "Entry 1 is the first \(row)" + (hasHeader ? " after the header" : "") + ", entry 2 the next, and so on."
    sentence += " Empty \(row)s are not counted."
    if separator != nil { sentence += " The text of an entry is what is in \(columnTitle)." }
    if options.duplicates == .once { sentence += " A text that stood in an earlier \(row) is not counted again." }
    return sentence
  }
}
