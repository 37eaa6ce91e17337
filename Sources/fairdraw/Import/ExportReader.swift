import Foundation
import JSON

/// A row of an export.
struct ExportRecord {
  /// The line of the file that it begins on.
  let line: Int
  let text: Result<[UInt8], Malformed>

  /// Why a row cannot be read.
  struct Malformed: Error {
    let reason: String
  }

  /// - Throws: ``Malformed``.
  func value() throws -> JSONValue {
    do {
      return try JSONText(try text.get()).root
    } catch let error as JSONSyntaxError {
      throw Malformed(reason: "is not JSON: \(error.reason)")
    }
  }
}

/// Reads an export, CSV or JSON, one row at a time, in memory for one row and a piece of the file.
final class ExportReader {
  /// The longest row, in bytes.
  static let longestRow = 16 << 20
  private static let piece = 1 << 18

  private enum Format {
    /// JSON values one after another.
    case values
    /// The elements of an array; whether one was read.
    case array(hasBegun: Bool)
    case csv(CSVHeader)
    case over
  }

  /// The file's size in bytes; 0 if it is not known.
  let size: Int
  /// How many bytes were read.
  private(set) var position = 0
  private let path: String
  private let file: FileHandle
  private var buffer: [UInt8] = []
  private var at = 0
  private var line = 1
  private var format: Format?

  /// - Throws: ``CommandFailure``.
  init(_ path: String) throws {
    self.path = path == "-" ? "standard input" : path
    do {
      file = path == "-" ? .standardInput : try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    } catch {
      throw CommandFailure("\(path) cannot be read: \(reason(for: error))")
    }
    size = path == "-" ? 0 : (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
  }

  /// The next row; nil at the end.
  ///
  /// - Throws: ``CommandFailure`` where what follows cannot be told apart into rows.
  func next() throws -> ExportRecord? {
    switch try format ?? begin() {
    case .over: return nil
    case .values:
      try skipSpace()
      return try peek() == nil ? end() : try object()
    case .array(let hasBegun):
      try skipSpace()
      if try peek() == UInt8(ascii: "]") { return end() }
      if hasBegun {
        guard try take() == UInt8(ascii: ",") else { throw failure("the array does not go on or end here") }
        try skipSpace()
      }
      format = .array(hasBegun: true)
      return try object()
    case .csv(let header):
      while let row = try csvRow() {
        if row.cells.count > 1 || !row.cells[0].text.isEmpty {
          return ExportRecord(line: row.line, text: header.json(row.cells))
        }
      }
      return end()
    }
  }

  private func end() -> ExportRecord? {
    format = .over
    return nil
  }

  /// Finds out what the file is, by how it begins.
  private func begin() throws -> Format {
    for byte in [0xEF, 0xBB, 0xBF] as [UInt8] { if try peek() == byte { at += 1 } }
    try skipSpace()
    let format: Format
    switch try peek() {
    case nil: throw CommandFailure("\(path) is empty")
    case UInt8(ascii: "["):
      at += 1
      format = .array(hasBegun: false)
    case UInt8(ascii: "{"): format = try isWrapper() ? .array(hasBegun: false) : .values
    default:
      guard let row = try csvRow() else { throw CommandFailure("\(path) is empty") }
      format = .csv(try CSVHeader(row.cells, path))
    }
    self.format = format
    return format
  }

  /// Whether the file is an object with an array of rows, and not one row after another. If so the array's elements are
  /// next, and if not the object.
  private func isWrapper() throws -> Bool {
    let start = (at: at, line: line)
    var scanner = JSONScanner()
    var name: [UInt8] = []
    while let byte = try peek(keepingFrom: start.at) {
      guard at - start.at <= Self.longestRow else { throw failure("this row has more than 16 MiB") }
      at += 1
      if byte == UInt8(ascii: "\n") { line += 1 }
      if scanner.depth == 1, !scanner.isInString, byte == UInt8(ascii: "["), !Self.arrayMembers.contains(name) {
        return true
      }
      let wasInString = scanner.isInString
      scanner.take(byte)
      guard scanner.depth > 0 else { break }
      if scanner.depth == 1 {
        if scanner.isInString { if wasInString { name.append(byte) } else { name = [] } }
      }
    }
    (at, line) = start
    return false
  }

  /// The members of an outcome that may be arrays.
  private static let arrayMembers: Set = [Array("outcome".utf8), Array("items".utf8), Array("weights".utf8)]

  // MARK: JSON

  /// The object that comes next.
  private func object() throws -> ExportRecord {
    let first = line
    guard try peek() == UInt8(ascii: "{") else { throw failure("here should be an outcome, a JSON object") }
    var text: [UInt8] = []
    var scanner = JSONScanner()
    repeat {
      guard let byte = try take() else { throw failure("the file ends in the midst of a row") }
      scanner.take(byte)
      text.append(byte)
      guard text.count <= Self.longestRow else { throw failure("the row from line \(first) on has more than 16 MiB") }
    } while scanner.depth > 0
    return ExportRecord(line: first, text: .success(text))
  }

  // MARK: CSV

  /// A cell, and whether it was in quotes.
  typealias Cell = (text: [UInt8], isQuoted: Bool)

  /// The next row of RFC 4180; nil at the end.
  private func csvRow() throws -> (line: Int, cells: [Cell])? {
    guard try peek() != nil else { return nil }
    let first = line
    var cells: [Cell] = []
    var length = 0
    while true {
      var cell: Cell = ([], false)
      if try peek() == UInt8(ascii: "\"") {
        cell.isQuoted = true
        at += 1
        while true {
          guard let byte = try take() else {
            throw failure("the file ends in the midst of a quoted cell of line \(first)")
          }
          if byte == UInt8(ascii: "\"") {
            guard try peek() == UInt8(ascii: "\"") else { break }
            at += 1
          }
          cell.text.append(byte)
          guard length + cell.text.count <= Self.longestRow else { throw tooLong(first) }
        }
      }
      while let byte = try peek(), byte != UInt8(ascii: ","), byte != UInt8(ascii: "\n") {
        at += 1
        cell.text.append(byte)
        guard length + cell.text.count <= Self.longestRow else { throw tooLong(first) }
      }
      let isLast = try take() != UInt8(ascii: ",")
      if isLast, cell.text.last == UInt8(ascii: "\r") { cell.text.removeLast() }
      length += cell.text.count
      cells.append(cell)
      if isLast { return (first, cells) }
    }
  }

  private func tooLong(_ first: Int) -> CommandFailure { failure("the row from line \(first) on has more than 16 MiB") }

  // MARK: Bytes

  private func skipSpace() throws {
    while let byte = try peek(), [0x20, 0x09, 0x0A, 0x0D].contains(byte) { _ = try take() }
  }

  private func take() throws -> UInt8? {
    guard let byte = try peek() else { return nil }
    at += 1
    if byte == UInt8(ascii: "\n") { line += 1 }
    return byte
  }

  /// - Parameter start: what is read stays in the buffer from here on; nil for what comes next.
  private func peek(keepingFrom start: Int? = nil) throws -> UInt8? {
    if at < buffer.count { return buffer[at] }
    do {
      let data = try file.read(upToCount: Self.piece) ?? Data()
      guard !data.isEmpty else { return nil }
      if start == nil {
        buffer.removeAll(keepingCapacity: true)
        at = 0
      }
      buffer.append(contentsOf: data)
      position += data.count
    } catch {
      throw CommandFailure("\(path) cannot be read: \(reason(for: error))")
    }
    return buffer[at]
  }

  private func failure(_ what: String) -> CommandFailure { CommandFailure("line \(line) of \(path): \(what)") }
}

/// How deep in a JSON text one is.
private struct JSONScanner {
  private(set) var depth = 0
  private(set) var isInString = false
  private var isEscaped = false

  mutating func take(_ byte: UInt8) {
    if isInString {
      if isEscaped {
        isEscaped = false
      } else if byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte == UInt8(ascii: "\"") {
        isInString = false
      }
      return
    }
    switch byte {
    case UInt8(ascii: "\""): isInString = true
    case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
    case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
    default: break
    }
  }
}

/// The names of the columns of a CSV file.
private struct CSVHeader {
  private let names: [String]

  /// Members that are text, and stand in a cell without JSON's quotes.
  private static let texts: Set = [
    "shortId", "permalink", "serverHash", "clientSeed", "endpoint", "mode", "serverSeed", "encoding", "distribution",
  ]

  init(_ cells: [ExportReader.Cell], _ path: String) throws {
    names = cells.map { String(decoding: $0.text, as: UTF8.self) }
    guard Set(names).count == names.count else { throw CommandFailure("\(path) has two columns of one name") }
    guard names.contains("shortId") else {
      throw CommandFailure(
        "\(path) is no export: it does not begin with [ or {, and its first row names no column shortId")
    }
  }

  /// A row as a JSON object. An empty cell is no member, or no weights.
  func json(_ cells: [ExportReader.Cell]) -> Result<[UInt8], ExportRecord.Malformed> {
    guard cells.count == names.count else {
      return .failure(.init(reason: "has \(cells.count) cells, and the header \(names.count)"))
    }
    let isBytes = zip(names, cells).contains { $0 == "endpoint" && $1.text.elementsEqual("bytes".utf8) }
    var object: [UInt8] = [UInt8(ascii: "{")]
    for (name, cell) in zip(names, cells) where !cell.text.isEmpty || name == "weights" {
      if object.count > 1 { object.append(UInt8(ascii: ",")) }
      object.append(jsonString: name)
      object.append(UInt8(ascii: ":"))
      // The value of bytes may have nothing but digits.
      let isText =
        Self.texts.contains(name) || name == "outcome" && isBytes && cell.text.first != UInt8(ascii: "\"")
        || (try? JSONText(cell.text)) == nil
      if cell.text.isEmpty {
        object.append(json: "null")
      } else if isText {
        object.append(jsonString: cell.text)
      } else {
        object.append(contentsOf: cell.text)
      }
    }
    object.append(UInt8(ascii: "}"))
    return .success(object)
  }
}
