import CPQ
import Ledger
import SQLStore

/// What PostgreSQL, or the way to it, said when something could not be done.
struct PostgresFailure: Error, CustomStringConvertible {
  /// The five characters of the SQL standard's error code; nil when the failure is the connection's.
  var state: String?
  /// The table the error is about, if it is about one.
  var table: String?
  /// Whether the connection is of no more use.
  var isConnectionLost = false
  /// Whether it came before there was anything to commit.
  var hasStoredNothing = false
  let description: String

  init(_ description: String, state: String? = nil, table: String? = nil, isConnectionLost: Bool = false) {
    self.description = description
    self.state = state
    self.table = table
    self.isConnectionLost = isConnectionLost
  }

  /// What an error result says: its first line, the code, and what it is about. Details, which may quote rows, are left out.
  init(result: OpaquePointer?) {
    func field(_ code: UnicodeScalar) -> String? {
      PQresultErrorField(result, Int32(code.value)).map { String(cString: $0) }
    }
    state = field("C")
    table = field("t")
    let message = field("M") ?? "an error without a message"
    description = "PostgreSQL error \(state ?? "?"): \(message)"
    // Shut down, crashed, terminated for being idle in a transaction; or the server has become a standby, whose
    // connections stay open and refuse to write: the primary is elsewhere now.
    isConnectionLost = ["57P01", "57P02", "57P03", "57P05", "25P03", "25006"].contains(state)
  }

  /// Whether somebody else kept a row locked for too long.
  var isLockTimeout: Bool { state == "55P03" }

  /// Whether the same group may be tried again at once: it lost a race, or its connection before it had begun.
  var isWorthAnotherTry: Bool { isRace || (isConnectionLost && hasStoredNothing) }

  /// Whether the same transaction may well succeed when it is started over: it lost a race that somebody else won.
  private var isRace: Bool {
    switch state {
    case "40001", "40P01": true
    // Two groups made the same chain. (Other rows are inserted under a lock that keeps rivals out.)
    case "23505": table == "chains" || table == "idempotency" || table == "test_outcomes"
    default: false
    }
  }
}

extension StoreFailure {
  /// What a failure of PostgreSQL's, or of reading a row, means for the ledger.
  init(_ error: any Error) {
    switch error {
    case let failure as StoreFailure: self = failure
    case let failure as PostgresFailure: self.init(failure)
    case let failure as UniqueViolation: self.init("\(failure)")
    // Whatever else there is comes from a row's contents.
    default: self = .damaged("\(error)")
    }
  }

  private init(_ failure: PostgresFailure) {
    let description = failure.description
    if failure.isConnectionLost {
      self.init(description, isOfWholeStore: true, mayBeStored: !failure.hasStoredNothing)
      return
    }
    let state = failure.state ?? ""
    switch state.prefix(2) {
    case "53" where state == "53100": self.init(description, kind: .permanent)  // the disk is full
    // Tables, columns or rights are not as they should be.
    case "42", "28", "3D": self.init(description, kind: .permanent)
    case "22" where state == "22012": self.init(description)  // ours: see ``PostgresStatement/moveChains``
    case "22", "23", "XX": self = .damaged(description)
    case "57" where state == "57014": self.init(description)  // it took too long
    case "53", "57", "58": self.init(description, isOfWholeStore: true)
    default: self.init(description)
    }
  }
}
