import Foundation

/// The groups that are applied and not answered yet: how long the next one should wait for them, and who is answered
/// first.
///
/// A group costs much the same however few draws are in it, and so does a hand-over from thread to thread. So one thread
/// applies and flushes group after group while the disk is quick. A disk that takes much longer than the work of applying
/// a group is not waited for: another thread applies the next.
///
/// A store may have quicker ways to the disk while no groups overlap. So some do, however quick the disk is, to see how
/// long it takes.
package final class GroupsInFlight: Sendable {
  /// A disk is slow that takes longer than applying so many groups. No group waits for one longer than that, or this.
  private static let patience = 4
  private static let longestWait: Duration = .milliseconds(20)
  /// How often a disk that is quick is looked at again.
  private static let interval: Duration = .milliseconds(100)

  // These are only touched while `condition` is locked.
  private let condition = NSCondition()
  /// How many groups were applied, are durable, and are answered; failures included.
  nonisolated(unsafe) private var applied = 0
  nonisolated(unsafe) private var durable = 0
  nonisolated(unsafe) private var answered = 0
  /// How long applying a group takes, about.
  nonisolated(unsafe) private var work = Duration.zero
  /// How long the disk takes for one, about.
  nonisolated(unsafe) private var disk = Duration.zero

  /// When the disk was looked at for the last time while it was quick.
  nonisolated(unsafe) private var measured = ContinuousClock.now

  /// Whether the group after the next should be applied while the disk takes the next.
  package func overlapsNext() -> Bool {
    condition.withLock {
      if disk > work * Self.patience { return true }
      guard measured + Self.interval <= .now else { return false }
      measured = .now
      return true
    }
  }

  package init() {}

  /// A group was applied, or may have been.
  ///
  /// - Parameter time: how long that took, if it is worth remembering.
  /// - Returns: its number.
  package func enter(after time: Duration? = nil) -> Int {
    condition.withLock {
      if let time { work += (time - work) / 8 }
      applied += 1
      return applied - 1
    }
  }

  /// A group is durable, or has failed to be.
  ///
  /// - Parameter time: how long the disk took, if it was asked.
  package func reachedDisk(after time: Duration? = nil) {
    condition.withLock {
      if let time { disk += (time - disk) / 8 }
      durable += 1
      condition.broadcast()
    }
  }

  /// Answers a group when all before it are answered.
  package func leave(_ number: Int, answering: () -> Void) {
    condition.withLock { while answered < number { condition.wait() } }
    answering()
    condition.withLock {
      answered += 1
      condition.broadcast()
    }
  }

  /// Waits until all that was applied has reached the disk, or for about as long as it takes to apply four groups.
  package func gather() {
    condition.withLock {
      guard durable < applied else { return }
      let deadline = Date(timeIntervalSinceNow: min(work * Self.patience, Self.longestWait) / .seconds(1))
      while durable < applied, condition.wait(until: deadline) {}
    }
  }
}
