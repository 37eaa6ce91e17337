import Ledger

/// One SQL statement and the values it is run with.
///
/// It is written as a literal whose interpolations become parameters:
///
///     let statement: SQLStatement = "SELECT name FROM accounts WHERE id = \(id.rawValue) AND deleted IS NULL"
///
/// A value can never become part of the text. An interpolated `SQLStatement`, a clause that several statements share, does.
public struct SQLStatement: Sendable, ExpressibleByStringInterpolation {
  enum Part: Sendable {
    case text(String)
    case value(SQLValue, SQLType)
  }

  private(set) var parts: [Part]

  public init(stringLiteral text: String) { parts = [.text(text)] }

  public init(stringInterpolation: StringInterpolation) { parts = stringInterpolation.parts }

  public struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var parts: [Part] = []

    public init(literalCapacity: Int, interpolationCount: Int) { parts.reserveCapacity(2 * interpolationCount + 1) }

    public mutating func appendLiteral(_ text: String) {
      if !text.isEmpty { parts.append(.text(text)) }
    }

    public mutating func appendInterpolation(_ integer: Int64?) {
      parts.append(.value(integer.map(SQLValue.integer) ?? .null, .integer))
    }

    public mutating func appendInterpolation(_ integer: Int?) { appendInterpolation(integer.map(Int64.init)) }

    public mutating func appendInterpolation(_ text: String?) {
      parts.append(.value(text.map(SQLValue.text) ?? .null, .text))
    }

    public mutating func appendInterpolation(_ bytes: [UInt8]?) {
      parts.append(.value(bytes.map(SQLValue.bytes) ?? .null, .bytes))
    }

    public mutating func appendInterpolation(_ clause: SQLStatement) { parts += clause.parts }
  }

  /// The text with the dialect's placeholders, and the value for each placeholder in order.
  public func rendered(in dialect: Dialect) -> (text: String, values: [SQLValue]) {
    var text = ""
    var values: [SQLValue] = []
    for part in parts {
      switch part {
      case .text(let piece): text += piece
      case .value(let value, let type):
        values.append(value)
        text += dialect.placeholder(values.count, type)
      }
    }
    return (text, values)
  }
}

extension SQLStatement {
  /// The text of a clause, which has no values.
  package var text: String {
    parts.map { part in
      guard case .text(let text) = part else { preconditionFailure("a clause has a value") }
      return text
    }.joined()
  }
}

/// A value of a column or a parameter.
public enum SQLValue: Sendable, Equatable {
  case null
  case integer(Int64)
  case text(String)
  case bytes([UInt8])

  /// What it holds, in bytes.
  package var size: Int {
    switch self {
    case .null: 0
    case .integer: 8
    case .text(let text): text.utf8.count
    case .bytes(let bytes): bytes.count
    }
  }
}

/// The type of a parameter, which a NULL has too.
public enum SQLType: Sendable {
  /// 64 bits, signed.
  case integer
  /// UTF-8.
  case text
  case bytes
}
