import Fairness
import Foundation
import Ledger
import Logging
import Synchronization

/// Closes each UTC day: builds the Merkle tree of its outcomes, signs the root and publishes it, see ``TransparencyStore``.
public final class MerklePublisher: Sendable {
  private let store: any TransparencyStore
  private let signer: RootSigner
  private let history: LogHistory?
  private let logger: Logger
  private let clock: @Sendable () -> Milliseconds
  private let sleep: @Sendable (Duration) async throws -> Void
  private let state = Mutex(State())

  private struct State {
    var isStopped = false
    /// What is being worked on, so that it can be interrupted.
    var draft: (any DayDraft)?
  }

  /// So many leaves are read at once.
  private static let leavesAtOnce = 2048
  /// So many tiles are kept in one transaction.
  private static let tilesAtOnce = 16
  /// The longest it sleeps, so that it soon sees a clock that was set.
  private static let longestSleep = Duration.seconds(15)

  /// - Parameters:
  ///   - history: what may keep days from being published.
  ///   - clock: the time; replaced in tests.
  ///   - sleep: waits for so long, or throws when it is cancelled; replaced in tests.
  public init(
    store: any TransparencyStore, signer: RootSigner, history: LogHistory? = nil, logger: Logger,
    clock: @escaping @Sendable () -> Milliseconds = { Milliseconds(Date().timeIntervalSince1970 * 1000) },
    sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
  ) {
    self.store = store
    self.signer = signer
    self.history = history
    self.logger = logger
    self.clock = clock
    self.sleep = sleep
  }

  // MARK: Day after day

  /// Publishes what is due, and each day once it is over, until it is cancelled. A failure is logged and tried again after
  /// a while.
  public func run() async {
    await withTaskCancellationHandler {
      var failures = 0
      while !Task.isCancelled {
        do {
          let wait = try await onThreadOfItsOwn { try $0.publishDue() }
          failures = 0
          try await sleep(wait)
        } catch {
          guard !Task.isCancelled else { return }
          failures += 1
          let wait = Self.pause(afterFailures: failures)
          logger.error(
            "The daily root could not be published; it will be tried again.",
            metadata: ["fault": "\(error)", "retryAfter": "\(wait)"])
          try? await sleep(wait)
        }
      }
    } onCancel: {
      stop()
    }
  }

  /// 1 s, 2 s, 4 s, … and a minute at the most.
  static func pause(afterFailures failures: Int) -> Duration { .seconds(min(1 << min(failures - 1, 6), 60)) }

  /// Publishing blocks, and the threads that tasks run on have others to serve.
  private func onThreadOfItsOwn<Value: Sendable>(
    _ body: @escaping @Sendable (MerklePublisher) throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      Thread.start("daily-log") { [self] in continuation.resume(with: Result { try body(self) }) }
    }
  }

  /// Makes what is running throw soon, and everything after it.
  private func stop() {
    let draft = state.withLock { state in
      state.isStopped = true
      return state.draft
    }
    draft?.interrupt()
  }

  // MARK: Now

  /// Publishes every day that is over. It blocks until that is done.
  ///
  /// - Returns: how long it may be until there is something to do.
  /// - Throws: ``StoreFailure``, `CancellationError`.
  func publishDue() throws -> Duration {
    while history?.failure == nil, let day = try nextDay() {
      let left = day.end - clock()
      guard left <= 0 else { return min(.milliseconds(left), Self.longestSleep) }
      do {
        try publish(day)
      } catch is DayNotOver {
        return .seconds(1)  // by the database's clock, which is the one that counts
      }
    }
    return Self.longestSleep
  }

  /// Publishes a day and, before it, those before it that are not yet. It blocks until that is done. A day that is published
  /// stays as it is.
  ///
  /// - Parameter published: told of each day that it publishes.
  /// - Returns: whether the day is published: not if it comes before the first outcome.
  /// - Throws: ``DayNotOver``, ``StoreFailure``.
  public func publish(through last: Day, published: (PublishedDay) -> Void = { _ in }) throws {
    guard last.end <= clock() else { throw DayNotOver(last) }
    while let day = try nextDay(), day <= last { published(try publish(day)) }
  }

  /// - Throws: a ``StoreFailure`` also for a day that nothing was recorded on: what tells it is damaged.
  private func nextDay() throws -> Day? {
    let day = try store.nextDay()
    guard day?.start.isPlausible ?? true else {
      throw StoreFailure.damaged("the day to publish next would be \(day?.description ?? "")")
    }
    return day
  }

  @discardableResult
  private func publish(_ day: Day) throws -> PublishedDay {
    let began = ContinuousClock.now
    let draft = try store.openDay(day)
    try state.withLock { state in
      if state.isStopped { throw CancellationError() }
      state.draft = draft
    }
    defer { state.withLock { $0.draft = nil } }

    var tiler = MerkleTiler()
    while true {
      try checkStopped()
      let leaves = try draft.nextLeaves(limit: Self.leavesAtOnce)
      if leaves.isEmpty { break }
      for leaf in leaves {
        tiler.append(leaf.hash)
        if tiler.readyTiles == Self.tilesAtOnce { try draft.keep(tiler.takeTiles()) }
      }
    }
    let root = tiler.finish()
    let rest = tiler.takeTiles()
    if !rest.isEmpty { try draft.keep(rest) }
    while try draft.keepPlaces() { try checkStopped() }

    let leafCount = tiler.tree.leafCount
    let made = try draft.publish { previousRoot in
      let statement = RootStatement(
        date: day.description, root: root?.description ?? "", leafCount: leafCount,
        previousRoot: previousRoot?.description ?? "")
      return PublishedDay(
        day: day, root: root, leafCount: leafCount, previousRoot: previousRoot,
        signature: try signer.sign(statement), publishedAt: clock())
    }
    logger.info(
      "The daily root is published.",
      metadata: [
        "date": "\(day)", "leafCount": "\(made.leafCount)", "root": "\(made.statement.root)",
        "seconds": "\((ContinuousClock.now - began) / .seconds(1))",
      ])
    return made
  }

  private func checkStopped() throws {
    if state.withLock({ $0.isStopped }) { throw CancellationError() }
  }
}
