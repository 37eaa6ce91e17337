import Synchronization

/// A statement of fixed text, prepared once on every connection that uses it.
struct PostgresStatement: Sendable {
  /// What connections know it by.
  let name: String
  let sql: String
}

extension PostgresStatement: ExpressibleByStringInterpolation {
  private static let names = Mutex<[String: String]>([:])

  /// The program has a fixed number of texts, so each keeps the name that it gets first.
  init(stringLiteral sql: String) {
    let name = Self.names.withLock { names in
      if let name = names[sql] { return name }
      let name = "statement-\(names.count)"
      names[sql] = name
      return name
    }
    self.init(name: name, sql: sql)
  }
}

/// A statement and what to run it with, which is put together when it is sent.
struct Query {
  let statement: PostgresStatement
  let bind: (inout PostgresParameters) -> Void

  init(_ statement: PostgresStatement, _ bind: @escaping (inout PostgresParameters) -> Void = { _ in }) {
    self.statement = statement
    self.bind = bind
  }
}
