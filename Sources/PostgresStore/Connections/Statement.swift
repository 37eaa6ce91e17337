/// A statement of fixed text, prepared once on every connection that uses it.
struct Statement: Sendable {
  let name: String
  let sql: String

  init(_ name: String, _ sql: String) {
    self.name = name
    self.sql = sql
  }
}

/// A statement and what to run it with.
struct Query {
  let statement: Statement
  var parameters = Parameters()

  init(_ statement: Statement, _ bind: (inout Parameters) -> Void = { _ in }) {
    self.statement = statement
    bind(&parameters)
  }
}
