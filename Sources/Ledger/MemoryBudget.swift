import Dispatch
import Synchronization

/// The memory that all readers of outcomes share. A reader reserves its part before it reads, keeps what it needs while it
/// sends, and gives the rest back.
///
/// Whoever finds no room waits, in order of arrival. No holder has more than half: those of a holder that has that
/// wait, and the others pass them.
public final class MemoryBudget: Sendable {
  public struct Limits: Sendable {
    /// The most memory in all.
    public var bytes = 64 << 20
    /// What a reader reserves: a page of outcomes (``OutcomePage/maximumBytes`` and the largest outcome) as the store
    /// reads it, and as it is written out.
    public var reservation = 8 << 20
    /// The most readers that may wait.
    public var waiting = 500
    /// How long a reader waits for its first reservation.
    public var timeout = DispatchTimeInterval.seconds(10)

    public init() {}
  }

  private final class Waiter: Sendable {
    let holder: ResourceHolder
    private let continuation: Mutex<CheckedContinuation<Bool, Never>?>

    init(_ holder: ResourceHolder, _ continuation: CheckedContinuation<Bool, Never>) {
      self.holder = holder
      self.continuation = Mutex(continuation)
    }

    func settle(_ isGranted: Bool) { continuation.withLock { $0.take() }?.resume(returning: isGranted) }
  }

  private struct State {
    var held = 0
    var perHolder: [ResourceHolder: Int] = [:]
    var waiters: [Waiter] = []
  }

  private let limits: Limits
  private let state = Mutex(State())

  public init(limits: Limits = Limits()) { self.limits = limits }

  /// A budget that has nothing to give.
  public static let none: MemoryBudget = {
    var limits = Limits()
    limits.bytes = 0
    limits.waiting = 0
    return MemoryBudget(limits: limits)
  }()

  /// Bytes that are reserved.
  public var held: Int { state.withLock { $0.held } }
  /// Readers that wait.
  public var waiting: Int { state.withLock { $0.waiters.count } }

  /// Reserves a reader's part, waiting for it if need be.
  ///
  /// - Parameter isUnderWay: whether the reader has begun to send. Then it waits as long as it takes, and is not refused.
  /// - Returns: nil if too many wait, or the wait was too long.
  public func reserve(for holder: ResourceHolder, isUnderWay: Bool = false) async -> Reservation? {
    let isGranted = await withCheckedContinuation { continuation in
      let waiter = Waiter(holder, continuation)
      let settled: Bool? = state.withLock { state in
        if grant(holder, &state) { return true }
        guard isUnderWay || state.waiters.count < limits.waiting else { return false }
        state.waiters.append(waiter)
        return nil
      }
      if let settled { return waiter.settle(settled) }
      guard !isUnderWay else { return }
      DispatchQueue.global().asyncAfter(deadline: .now() + limits.timeout) { [weak self] in self?.expire(waiter) }
    }
    return isGranted ? Reservation(self, holder, limits.reservation) : nil
  }

  private func grant(_ holder: ResourceHolder, _ state: inout State) -> Bool {
    let own = state.perHolder[holder, default: 0]
    guard state.held + limits.reservation <= limits.bytes,
      own == 0 || own + limits.reservation <= limits.bytes / 2
    else { return false }
    state.held += limits.reservation
    state.perHolder[holder] = own + limits.reservation
    return true
  }

  private func expire(_ waiter: Waiter) {
    let isWaiting = state.withLock { state in
      guard let place = state.waiters.firstIndex(where: { $0 === waiter }) else { return false }
      state.waiters.remove(at: place)
      return true
    }
    if isWaiting { waiter.settle(false) }
  }

  fileprivate func release(_ bytes: Int, of holder: ResourceHolder) {
    let granted = state.withLock { state in
      state.held -= bytes
      let own = state.perHolder[holder, default: 0] - bytes
      state.perHolder[holder] = own > 0 ? own : nil
      guard state.held + limits.reservation <= limits.bytes else { return [Waiter]() }
      var granted: [Waiter] = []
      var waiting: [Waiter] = []
      for waiter in state.waiters {
        if grant(waiter.holder, &state) { granted.append(waiter) } else { waiting.append(waiter) }
      }
      state.waiters = waiting
      return granted
    }
    for waiter in granted { waiter.settle(true) }
  }

  /// A part of the memory; given back when nobody holds it any more.
  public final class Reservation: Sendable {
    private let budget: MemoryBudget
    private let holder: ResourceHolder
    private let bytes: Mutex<Int>

    fileprivate init(_ budget: MemoryBudget, _ holder: ResourceHolder, _ bytes: Int) {
      self.budget = budget
      self.holder = holder
      self.bytes = Mutex(bytes)
    }

    deinit { shrink(to: 0) }

    /// Gives back what is beyond `size` bytes.
    public func shrink(to size: Int) {
      let surplus = bytes.withLock { bytes in
        let surplus = max(bytes - size, 0)
        bytes -= surplus
        return surplus
      }
      if surplus > 0 { budget.release(surplus, of: holder) }
    }
  }
}

/// Who something limited is held for.
public enum ResourceHolder: Hashable, Sendable {
  case account(AccountID)
  /// An address's ``NetworkAddress/subscriber``.
  case subscriber([UInt8])
  case nobody
}
