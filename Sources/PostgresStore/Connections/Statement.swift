/// A statement of fixed text, prepared once on every connection that uses it.
struct Statement: Sendable {
  let name: String
  let sql: String

  init(_ name: String, _ sql: String) {
    self.name = name
    self.sql = sql
  }
}

/// A statement and what to run it with, which is put together when it is sent.
struct Query {
  let statement: Statement
  let bind: (inout Parameters) -> Void

  init(_ statement: Statement, _ bind: @escaping (inout Parameters) -> Void = { _ in }) {
    self.statement = statement
    self.bind = bind
  }
}
