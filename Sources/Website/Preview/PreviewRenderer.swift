import Dispatch
import Ledger
import Synchronization

/// Makes preview pictures away from the event loops, one at a time, and remembers the latest. A picture takes tens of
/// milliseconds of a core, and anyone may ask for one: so only so many may wait.
final class PreviewRenderer: Sendable {
  private let queue = DispatchQueue(label: "preview-pictures", qos: .utility)
  private let state = Mutex(State())

  private static let mostWaiting = 16
  private static let cachedBytes = 16 << 20

  private struct State: Sendable {
    var cache = BoundedCache<Int64, [UInt8]>(capacity: PreviewRenderer.cachedBytes)
    var waiting = 0
  }

  /// The PNG of an outcome, which never changes.
  ///
  /// - Parameter outcome: nil for a picture that says that there is none.
  /// - Returns: nil when too many are waiting already.
  /// - Throws: ``PreviewPicture/Failure``.
  func png(of outcome: Outcome?, templates: Templates) async throws -> [UInt8]? {
    let number = outcome?.id ?? 0  // the number of none
    let (known, mayWait) = state.withLock { state in
      let known = state.cache.value(for: number)
      let mayWait = known == nil && state.waiting < Self.mostWaiting
      if mayWait { state.waiting += 1 }
      return (known, mayWait)
    }
    if let known { return known }
    guard mayWait else { return nil }
    return try await withCheckedThrowingContinuation { continuation in
      queue.async {
        // Whoever asked for the same one before may have made it meanwhile.
        let made = self.state.withLock { $0.cache.value(for: number) }
        let result = Result { try made ?? PreviewPicture.png(PreviewPicture.svg(outcome, templates: templates)) }
        self.state.withLock { state in
          state.waiting -= 1
          if case .success(let png) = result { state.cache.insert(png, for: number, cost: png.count) }
        }
        continuation.resume(with: result)
      }
    }
  }
}
