import Synchronization

/// Watches how the store is, beside the groups: probes it when it has failed, looks whether it is still in its place,
/// sweeps it, and compares its time with the clock. Tests the random source, too. What goes wrong is counted, and said once when it begins and once
/// when it is over.
public final class StoreHealth: Sendable {
  /// How the store is, and counts since the start.
  public struct Report: Sendable {
    /// Whether it is known to fail, whatever is asked of it.
    public var isFailing = false
    /// Whether the system's random source has failed.
    public var hasNoRandomness = false
    public var failedProbes = 0
    public var failedSweeps = 0
    /// How far the time of the last group was ahead of this machine's clock; 0 if it was not.
    public var timeAhead: Milliseconds = 0
  }

  private struct State {
    var report = Report()
    /// Whether a group has failed for a reason that may be the store's, and nothing has been stored since.
    var isSuspect = false
    /// What is wrong now, by what was tried.
    var troubles: [String: String] = [:]
  }

  /// Time that is further ahead than this is worth a warning.
  private static let tolerance: Milliseconds = 10_000

  private let store: any LedgerStore
  private let retention: IdempotencyRetention
  private let history: LogHistory?
  private let random: RandomSource
  private let onTrouble: @Sendable (String) -> Void
  private let state = Mutex(State())

  init(
    store: any LedgerStore, retention: IdempotencyRetention, history: LogHistory?, random: RandomSource,
    onTrouble: @escaping @Sendable (String) -> Void
  ) {
    self.store = store
    self.retention = retention
    self.history = history
    self.random = random
    self.onTrouble = onTrouble
    noteStore(testRandomness())
  }

  public var report: Report { state.withLock { $0.report } }

  /// - Parameter stored: whether it had anything to store; else it says nothing about whether the store can.
  func groupSucceeded(at now: Milliseconds, stored: Bool) {
    let ahead = max(0, now - LedgerWriter.wallClock())
    state.withLock {
      $0.report.timeAhead = ahead
      if stored { $0.isSuspect = false }
    }
  }

  /// A failure that is not of the whole store may be of that group alone: the next ``check()`` finds out.
  func groupFailed(_ failure: StoreFailure) {
    guard failure.kind != .damaged else { return }
    state.withLock {
      $0.isSuspect = true
      if failure.isOfWholeStore { $0.report.isFailing = true }
    }
  }

  /// Called every second, on a thread that may wait.
  func check() {
    let (isSuspect, ahead) = state.withLock { ($0.isSuspect, $0.report.timeAhead) }
    note(
      "time",
      failure: ahead > Self.tolerance
        ? "recorded time is \(ahead / 1000) s ahead of this machine's clock; outcomes are dated by it until the clock has "
          + "caught up" : nil)
    var failure = checkHistory() ?? testRandomness()
    do throws(StoreFailure) {
      try store.checkPlace()
      if isSuspect || report.isFailing { try store.probe() }
    } catch {
      failure = error
    }
    state.withLock {
      $0.report.isFailing = failure != nil
      $0.isSuspect = false
      if failure != nil { $0.report.failedProbes += 1 }
    }
    noteStore(failure)
  }

  private func noteStore(_ failure: StoreFailure?) {
    note("store", failure: failure.map { "nothing can be stored: \($0.logged)" })
  }

  /// Tests the random source, at the start and every second: it may be needed only later.
  private func testRandomness() -> StoreFailure? {
    do throws(StoreFailure) {
      try random.check()
      return nil
    } catch {
      state.withLock { ($0.report.hasNoRandomness, $0.report.isFailing) = (true, true) }
      return error
    }
  }

  /// - Returns: why nothing may be recorded, if the database has gone back. That it cannot be read is found out elsewhere.
  private func checkHistory() -> StoreFailure? {
    var failure: StoreFailure?
    do throws(StoreFailure) {
      try history?.check()
    } catch {
      failure = error
    }
    let isRolledBack = failure?.kind == .rolledBack
    note(
      "history",
      failure: isRolledBack ? nil : failure.map { "whether the database has gone back cannot be told: \($0.logged)" })
    return isRolledBack ? failure : nil
  }

  /// Deletes what has expired, until nothing is left or `isOver`. A sweep that fails is tried again in a minute.
  func sweep(until isOver: () -> Bool) {
    var failure: StoreFailure?
    do throws(StoreFailure) {
      while !isOver(), try store.sweepExpiredRecords(keeping: retention) {}
    } catch {
      failure = error
      state.withLock { $0.report.failedSweeps += 1 }
    }
    note("sweep", failure: failure.map { "expired records could not be swept: \($0.logged)" })
  }

  /// Says what has begun to go wrong, or that it is over.
  private func note(_ what: String, failure: String?) {
    let before = state.withLock { state in
      defer { state.troubles[what] = failure }
      return state.troubles[what]
    }
    switch (before, failure) {
    case (nil, let failure?): onTrouble(failure)
    case (let before?, nil): onTrouble("over: \(before)")
    default: break
    }
  }
}
