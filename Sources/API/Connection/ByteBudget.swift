import Synchronization

/// Bytes that everybody together may hold, and how many of them one may.
package final class ByteBudget: Sendable {
  private struct State {
    var total = 0
    var ofHolders: [[UInt8]: Int] = [:]
  }

  private let limit: Int
  private let limitOfOne: Int
  private let state = Mutex(State())
  /// As in the state; most of the time it says that there is no need to look further.
  private let total = Atomic<Int>(0)

  package init(limit: Int, ofOne: Int) {
    self.limit = limit
    limitOfOne = ofOne
  }

  /// Takes bytes, which must be given back. False, and nothing is taken, if there are not so many.
  ///
  /// - Parameter holder: nil for one that stands for many, and may have all there is.
  package func take(_ count: Int, for holder: [UInt8]?) -> Bool {
    state.withLock { state in
      let held = holder.map { state.ofHolders[$0, default: 0] } ?? 0
      guard state.total + count <= limit, held + count <= limitOfOne || holder == nil else { return false }
      add(count, for: holder, &state)
      return true
    }
  }

  /// Takes bytes that are there already, whether or not there is room for them.
  package func takeAnyway(_ count: Int, for holder: [UInt8]?) { state.withLock { add(count, for: holder, &$0) } }

  /// Whether everybody together, or `holder`, has all there is.
  package func isUsedUp(by holder: [UInt8]?) -> Bool {
    guard total.load(ordering: .relaxed) >= limitOfOne else { return false }
    return state.withLock { state in
      state.total >= limit || holder.map { state.ofHolders[$0, default: 0] >= limitOfOne } == true
    }
  }

  package func giveBack(_ count: Int, for holder: [UInt8]?) { state.withLock { add(-count, for: holder, &$0) } }

  private func add(_ count: Int, for holder: [UInt8]?, _ state: inout State) {
    state.total += count
    total.store(state.total, ordering: .relaxed)
    guard let holder else { return }
    let held = state.ofHolders[holder, default: 0] + count
    state.ofHolders[holder] = held > 0 ? held : nil
  }

  package var bytesHeld: Int { total.load(ordering: .relaxed) }
}
