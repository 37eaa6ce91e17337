import Ledger

/// Something that is read from a store for many who ask: once for all who ask at the same time, and not again for a while.
package actor SharedReading<Content: Sendable> {
  private let time: Duration
  private let now: @Sendable () -> ContinuousClock.Instant
  private let read: @Sendable () async throws(StoreFailure) -> Content
  private var last: (content: Content, end: ContinuousClock.Instant)?
  private var underWay: Task<Result<Content, StoreFailure>, Never>?

  package init(
    every time: Duration, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
    read: @escaping @Sendable () async throws(StoreFailure) -> Content
  ) {
    (self.time, self.now, self.read) = (time, now, read)
  }

  /// - Throws: what reading throws. That is not kept: whoever asks next has it read again.
  package func content() async throws(StoreFailure) -> Content {
    if let last, now() < last.end { return last.content }
    if let underWay { return try await underWay.value.get() }
    let task = Task { [read] in
      do throws(StoreFailure) { return Result<Content, StoreFailure>.success(try await read()) } catch {
        return .failure(error)
      }
    }
    underWay = task
    defer { underWay = nil }
    let content = try await task.value.get()
    last = (content, now() + time)
    return content
  }
}
