import Fairness
import Foundation
import Ledger
import Logging
import Synchronization

/// Moves what is queued into the continuous log and signs checkpoints; see ``LogStore``.
///
/// Every server has one. The one that holds the log works. The others look twice a second whether there is something that
/// nobody does.
public final class LogKeeper: Sendable {
  private let store: any LogStore
  private let identity: LogIdentity
  private let first: LogEntry
  private let logger: Logger
  private let name: [UInt8]
  private let history: LogHistory?
  private let state = Mutex(State())
  private let wake = DispatchSemaphore(value: 0)

  private struct State {
    var isStopped = false
    var size = 0
    /// When the oldest entry was drawn that was queued when this server last looked, and that no checkpoint has yet.
    var waitingSince: Milliseconds?
  }

  /// So long a keeper holds the log from its last step on, in milliseconds; then another may.
  private static let holding: Milliseconds = 3_000
  /// How long it waits between two steps if nothing is left over.
  private static let pause = Duration.milliseconds(500)

  /// - Parameters:
  ///   - name: what no other keeper of the database is called. Where there can be no other, one that is always the same lets
  ///     a server go on at once with what it held before it was killed.
  ///   - first: the log's first entry: the keys of its era.
  ///   - history: what may keep the log from growing.
  public init(
    store: any LogStore, identity: LogIdentity, name: [UInt8] = newName(), first: LogEntry, history: LogHistory? = nil,
    logger: Logger
  ) {
    self.name = name
    self.history = history
    self.store = store
    self.identity = identity
    self.first = first
    self.logger = logger
  }

  /// A name that no other keeper has.
  public static func newName() -> [UInt8] { (0..<16).map { _ in .random(in: .min ... .max) } }

  /// How many entries the newest checkpoint had when this server last signed one.
  public var size: Int { state.withLock { $0.size } }

  /// For how many seconds that entry has waited; 0 if there is none.
  public var lag: Int {
    guard let since = state.withLock({ $0.waitingSince }) else { return 0 }
    return Int(max(0, LedgerWriter.wallClock() - since) / 1000)
  }

  /// Keeps the log until it is cancelled. A failure is logged and tried again after a while.
  public func run() async {
    await withTaskCancellationHandler {
      // It hashes and blocks, and the threads that tasks run on have others to serve.
      await withCheckedContinuation { continuation in
        Thread.start("log-keeper") { [self] in
          keep()
          continuation.resume()
        }
      }
    } onCancel: {
      state.withLock { $0.isStopped = true }
      wake.signal()
    }
  }

  private func keep() {
    var failures = 0
    var work: Work?
    while !state.withLock({ $0.isStopped }) {
      do {
        let isMore = try step(&work)
        failures = 0
        if !isMore { wait(Self.pause) }
      } catch {
        work = nil
        failures += 1
        let pause = Duration.seconds(min(1 << min(failures - 1, 4), 10))
        logger.error(
          "The log could not be continued; it will be tried again.",
          metadata: ["fault": "\(error)", "retryAfter": "\(pause)"])
        wait(pause)
      }
    }
    guard work != nil else { return }
    do {
      _ = try store.holdLog(of: identity.era, by: name, for: 0)
    } catch {
      logger.warning("The log is held on for a moment by a server that has stopped.", metadata: ["fault": "\(error)"])
    }
  }

  private func wait(_ time: Duration) { _ = wake.wait(timeout: .now() + time / .seconds(1)) }

  /// The log as this keeper left it.
  package struct Work {
    var tiler: LogTiler
    var signedSize: Int
  }

  /// Moves some of what is queued into the log, and signs it.
  ///
  /// - Parameter work: what the step before left; nil at first, and after a failure.
  /// - Returns: whether there may be more.
  package func step(_ work: inout Work?) throws -> Bool {
    guard history?.failure == nil else { return false }
    let (queued, hasMore) = try store.queuedEntries()
    state.withLock { $0.waitingSince = queued.lazy.compactMap(\.drawn).first }
    if let work, queued.isEmpty, work.signedSize == work.tiler.size { return false }
    guard try store.holdLog(of: identity.era, by: name, for: Self.holding) else {
      work = nil  // somebody else goes on with it
      return false
    }
    var current = try work ?? resume()
    work = nil
    let from = current.tiler.size
    if from == 0 { try current.tiler.append(LogEntries(first), drawn: nil) }
    for group in queued { try current.tiler.append(group.entries, drawn: group.drawn) }
    if current.tiler.size > from {
      // Never before what is added was drawn: several servers have several clocks.
      let time = max(LedgerWriter.wallClock(), queued.compactMap(\.drawn).max() ?? 0)
      let (tiles, bundles) = current.tiler.take(at: time)
      let growth = LogGrowth(
        era: identity.era, keeper: name, time: time, from: from, to: current.tiler.size, tiles: tiles, bundles: bundles,
        queued: queued.map(\.id))
      guard try store.grow(growth) else { return true }
    }
    // What is signed is durable: another root for this size is not possible any more.
    if current.signedSize < current.tiler.size {
      let checkpoint = try identity.checkpoint(of: current.tiler)
      try store.keep(checkpoint: checkpoint.description, ofSize: current.tiler.size, era: identity.era)
      current.signedSize = current.tiler.size
    }
    state.withLock {
      $0.size = current.signedSize
      $0.waitingSince = nil
    }
    work = current
    return hasMore
  }

  /// The log as the database has it.
  private func resume() throws -> Work {
    guard let log = try store.log(of: identity.era) else { throw StoreFailure("the log was not begun") }
    return Work(tiler: try LogTiler(log), signedSize: log.signedSize)
  }

  /// Signs what the log of an earlier era has beyond its last checkpoint: a copy of a database may be of a moment between
  /// growing and signing.
  public static func finish(_ identity: LogIdentity, in store: any LogStore) throws {
    guard let log = try store.log(of: identity.era), log.signedSize < log.size else { return }
    let checkpoint = try identity.checkpoint(of: LogTiler(log))
    try store.keep(checkpoint: checkpoint.description, ofSize: log.size, era: identity.era)
  }
}
