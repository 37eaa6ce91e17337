/// The settings of a connection, which apply to every transaction on it.
///
/// A direct connection sets them once. A pooler may give every transaction to another connection of its own, so they are
/// then set again in each, for no longer than the transaction lasts.
struct SessionSettings: Sendable {
  let ofSession, ofTransaction: PostgresStatement
  /// Whether ``Connection/waitUntilSeenIsDurable()`` is asked for.
  let notesPosition: Bool

  /// An outcome that was answered must outlive a crash, whatever the database's setting is; a statement or a wait for a
  /// lock ends before the callers' timeout does; and a server that vanishes in mid-transaction does not hold up the others
  /// for long. Every statement finds its rows by an index, however small its table was when it was planned.
  static let standard = SessionSettings()

  /// Readers show what is durable, and nothing else.
  static let reading = SessionSettings(notesPosition: true)

  /// A writer does not wait for a lock as long as others do: everybody waits with it. See ``HeldRows``.
  static let writing = SessionSettings(changing: ["lock_timeout": "1s"])

  init(changing changes: [String: String] = [:], notesPosition: Bool = false) {
    self.notesPosition = notesPosition
    let standard = [
      "statement_timeout": "5s", "lock_timeout": "4s", "idle_in_transaction_session_timeout": "5s",
      "default_transaction_isolation": "read committed", "bytea_output": "hex", "plan_cache_mode": "force_generic_plan",
      "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off",
    ]
    let values = standard.merging(changes) { $1 }.sorted { $0.key < $1.key }
    func statement(_ isLocal: Bool) -> PostgresStatement {
      let calls = values.map { "set_config('\($0)', '\($1)', \(isLocal))" }
      return """
        SELECT set_config('synchronous_commit',
            CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, \(isLocal)),
          \(calls.joined(separator: ", "))
        """
    }
    (ofSession, ofTransaction) = (statement(false), statement(true))
  }
}
