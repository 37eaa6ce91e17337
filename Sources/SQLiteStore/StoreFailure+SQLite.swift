import GRDB
import GRDBSQLite
import Ledger
import SQLStore

extension StoreFailure {
  /// What a failure of SQLite's, or of reading a row, means for the ledger.
  init(_ error: any Error) {
    switch error {
    case let failure as StoreFailure: self = failure
    case let failure as SQLiteFailure: self.init(code: failure.code, failure.description)
    case let failure as DatabaseError: self.init(code: failure.extendedResultCode.rawValue, "\(failure)")
    case let failure as UniqueViolation: self.init("\(failure)")
    case is CancellationError: self.init("the read was given up")
    // Whatever else there is comes from a row's contents.
    default: self = .damaged("\(error)")
    }
  }

  private init(code: Int32, _ description: String) {
    switch code & 0xFF {
    case SQLITE_FULL, SQLITE_READONLY, SQLITE_NOTADB, SQLITE_PERM, SQLITE_AUTH:
      self.init(description, kind: .permanent)
    // The ledger was moved: see ``LedgerHasMoved``.
    case SQLITE_CONSTRAINT where code == ResultCode.SQLITE_CONSTRAINT_TRIGGER.rawValue:
      self.init(description, isOfWholeStore: true)
    // A page or a row that is not as it should be; a sum that is too large.
    case SQLITE_CORRUPT, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_TOOBIG: self = .damaged(description)
    case SQLITE_ERROR where description.contains("integer overflow"): self = .damaged(description)
    case SQLITE_IOERR: self.init(description)
    default: self.init(description, isOfWholeStore: true)
    }
  }
}
