import Fairness
import Foundation
import Synchronization

/// What a ``LogHistory`` reads. Both methods block.
public protocol LogHistoryStore: Sendable {
  /// What tells this installation's database from all others, copies of it excepted: 16 bytes that were drawn at random
  /// when they were first asked for.
  func installation() throws(StoreFailure) -> [UInt8]

  /// The newest era, the newest checkpoint of an era's log, and the root that its first `size` entries have; nil if there
  /// are fewer.
  func history(
    of era: Int64, rootAt size: Int
  ) throws(StoreFailure) -> (newestEra: Int64, checkpoint: LogCheckpoint?, root: MerkleHash?)
}

/// Notices that the database has gone back to an earlier state: after a restore from a backup, say, or when a standby that
/// was behind has taken its place. What was drawn since that state would be drawn again.
///
/// It remembers the newest checkpoint of the continuous log that it has seen, beside the database too: in a file, which
/// nobody restores with it. A log that has fewer entries than that, or others, has gone back.
public final class LogHistory: Sendable {
  private let store: any LogHistoryStore
  private let era: Int64
  private let file: URL
  private let state = Mutex(State())

  private struct State {
    var known: Known?
    var failure: StoreFailure?
    var isFileRead = false
  }

  /// A checkpoint as it is remembered.
  private struct Known {
    let era: Int64
    let checkpoint: Checkpoint
  }

  /// - Parameters:
  ///   - era: the one that the server draws in.
  ///   - folder: where the file is kept.
  /// - Throws: a ``StoreFailure`` if the database cannot be read.
  public init(store: any LogHistoryStore, era: Int64, folder: URL) throws(StoreFailure) {
    self.store = store
    self.era = era
    file = Self.file(of: try store.installation(), in: folder)
  }

  /// The newest era that the file in a folder knows of; nil without a file.
  ///
  /// - Throws: a ``StoreFailure`` if the file or the database cannot be read.
  public static func newestEra(of store: any LogHistoryStore, in folder: URL) throws(StoreFailure) -> Int64? {
    try read(file(of: try store.installation(), in: folder))?.era
  }

  /// Why nothing may be recorded; nil if there is no such reason.
  public var failure: StoreFailure? { state.withLock { $0.failure } }

  /// Has nothing recorded any more, because somebody else has noticed.
  ///
  /// - Parameter sentence: what was noticed.
  public func stop(_ sentence: String) {
    state.withLock { $0.failure = $0.failure ?? Self.failure(sentence) }
  }

  /// Compares the database with what is remembered, and remembers its newest checkpoint. Blocks.
  ///
  /// - Throws: a ``StoreFailure`` of the kind `rolledBack` if the database has gone back, each time from then on; of another
  ///   if that cannot be found out, or not be remembered.
  public func check() throws(StoreFailure) {
    if let failure { throw failure }
    do throws(StoreFailure) {
      try compare()
    } catch {
      if error.kind == .rolledBack { state.withLock { $0.failure = error } }
      throw error
    }
  }

  private func compare() throws(StoreFailure) {
    if !state.withLock({ $0.isFileRead }) {
      let known = try Self.read(file)
      state.withLock { ($0.known, $0.isFileRead) = (known, true) }
    }
    let known = state.withLock { $0.known }
    let now = try store.history(of: era, rootAt: known?.era == era ? known?.checkpoint.size ?? 0 : 0)
    guard now.newestEra == era else {
      throw StoreFailure(
        "era \(now.newestEra) has begun, and this server draws in era \(era): start it again", kind: .rolledBack)
    }
    if let known, known.era > era {
      throw Self.gone("its newest era is \(era), and era \(known.era) had begun")
    }
    guard let newest = now.checkpoint else {
      if let known, known.era == era { throw Self.gone("its log is gone, which had \(known.checkpoint.size) entries") }
      return
    }
    if let known, known.era == era {
      guard newest.size >= known.checkpoint.size else {
        throw Self.gone("its log has \(newest.size) entries, and had \(known.checkpoint.size)")
      }
      guard now.root == known.checkpoint.root else {
        throw Self.gone("the first \(known.checkpoint.size) entries of its log are not those that it had")
      }
      guard newest.size > known.checkpoint.size else { return }
    }
    let next = try Self.parse(newest.text)
    try write(newest.text)
    state.withLock { $0.known = next }
  }

  private static func gone(_ what: String) -> StoreFailure {
    failure("the database has gone back to an earlier state: \(what)")
  }

  private static func failure(_ sentence: String) -> StoreFailure {
    StoreFailure(
      "\(sentence). Nothing is drawn. Run `fairdraw era begin --reason TEXT` and start the server again; docs/operations.md "
        + "says more under \"Restoring\"", kind: .rolledBack)
  }

  // MARK: The file

  private static func file(of installation: [UInt8], in folder: URL) -> URL {
    folder.appendingPathComponent("log-\(LogDigest(of: installation).description.prefix(16)).checkpoint")
  }

  private static func read(_ file: URL) throws(StoreFailure) -> Known? {
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    do {
      return try parse(String(contentsOf: file, encoding: .utf8))
    } catch {
      throw StoreFailure(
        "\(file.path), which has the newest checkpoint of the log, cannot be read: \(error). Put it right, or delete it if "
          + "you are sure that the database is not an earlier state of itself", kind: .permanent)
    }
  }

  private static func parse(_ note: String) throws(StoreFailure) -> Known {
    do {
      let checkpoint = try Checkpoint(text: SignedNote(note).text)
      guard let word = checkpoint.origin.split(separator: "/").last, let era = Int64(word) else {
        throw StoreFailure.damaged("\(checkpoint.origin) names no era")
      }
      return Known(era: era, checkpoint: checkpoint)
    } catch {
      throw .damaged("a checkpoint is damaged: \(error)")
    }
  }

  /// A file that is there is whole, the one or the other. That the newest is lost with the power does no harm.
  private func write(_ note: String) throws(StoreFailure) {
    do {
      try Data(note.utf8).write(to: file, options: .atomic)
    } catch {
      throw StoreFailure("\(file.path) cannot be written: \(error.localizedDescription)")
    }
  }
}
