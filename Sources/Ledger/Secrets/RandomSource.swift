import Foundation
import Synchronization

/// The random bytes that seeds, keys and tokens are made of: the system's, in blocks, each of which is tested as it is
/// read and before any of it is used.
///
/// A block that cannot be read, or fails a test, ends the source for good: nothing that comes after it is trusted, and the
/// server draws nothing. A restart begins with new tests.
public final class RandomSource: Sendable {
  /// The kernel's generator, through the C library.
  ///
  /// It claims full entropy, 8 bits a byte. SP 800-90B holds false alarms of 2^−20 to 2^−40 to be usual. A server reads
  /// more than 10^10 bytes in a year, and a false alarm stops it, so the chance here is 2^−64 for each sample.
  public static let system = RandomSource(tests: HealthTests(entropy: 8, falseAlarm: 64)) { buffer in
    // At most 256 bytes at once: more are refused.
    stride(from: 0, to: buffer.count, by: 256).allSatisfy { start in
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<min(start + 256, buffer.count)])
      return getentropy(rest.baseAddress, rest.count) == 0
    }
  }

  /// How many bytes are read and tested at once: the 1024 samples that SP 800-90B, section 4.3, wants tested at the start.
  package static let blockSize = 2 * HealthTests.window

  private struct State {
    var tests: HealthTests
    /// Bytes that were tested and not yet used.
    var block: [UInt8] = []
    var failure: StoreFailure?
  }

  private let read: @Sendable (UnsafeMutableRawBufferPointer) -> Bool
  private let state: Mutex<State>

  /// - Parameter read: fills the whole buffer, or returns false.
  package init(tests: HealthTests, read: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Bool) {
    self.read = read
    state = Mutex(State(tests: tests))
  }

  /// Why nothing may be drawn any more; nil as long as all tests have passed.
  public var failure: StoreFailure? { state.withLock { $0.failure } }

  /// Reads and tests a block, which nobody gets.
  ///
  /// - Throws: a ``StoreFailure`` of the kind `entropy`, each time from the first failed test on.
  public func check() throws(StoreFailure) {
    try withState { state throws(StoreFailure) in _ = try nextBlock(&state) }
  }

  /// The next random bytes.
  ///
  /// - Throws: as ``check()``.
  public func bytes(_ count: Int) throws(StoreFailure) -> [UInt8] {
    guard count > 0 else { return [] }
    return try withState { state throws(StoreFailure) in
      while state.block.count < count { state.block += try nextBlock(&state) }
      defer { state.block.removeLast(count) }
      return Array(state.block.suffix(count))
    }
  }

  private func withState<Result>(_ body: (inout State) throws(StoreFailure) -> Result) throws(StoreFailure) -> Result {
    try state.withLock { state throws(StoreFailure) in
      if let failure = state.failure { throw failure }
      do throws(StoreFailure) {
        return try body(&state)
      } catch {
        state.failure = error
        state.block = []
        throw error
      }
    }
  }

  private func nextBlock(_ state: inout State) throws(StoreFailure) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: Self.blockSize)
    guard block.withUnsafeMutableBytes(read) else { throw Self.failure("it cannot be read") }
    do throws(HealthTests.Failure) {
      try state.tests.take(block)
    } catch {
      switch error {
      case .repetition(let count): throw Self.failure("it gave one byte \(count) times in a row")
      case .proportion(let count): throw Self.failure("it gave one byte \(count) times in \(HealthTests.window)")
      }
    }
    return block
  }

  private static func failure(_ what: String) -> StoreFailure {
    StoreFailure(
      "the system's random source has failed: \(what). Nothing is drawn until the server is started again. Replace the "
        + "machine if this happens twice; docs/operations.md says more under \"The random source\"", kind: .entropy)
  }
}

/// Random bytes that were set aside for a group, as the numbers that its decisions take.
struct ReservedRandomness: RandomNumberGenerator {
  private var bytes: ArraySlice<UInt8>

  /// - Throws: as ``RandomSource/check()``.
  init(for group: [Submission], from source: RandomSource) throws(StoreFailure) {
    var commitments = 0
    for submission in group { if case .commit = submission.operation { commitments += 1 } }
    bytes = try source.bytes(commitments * Decider.randomnessOfCommitment)[...]
  }

  mutating func next() -> UInt64 {
    precondition(bytes.count >= 8, "a decision takes more randomness than was set aside for it")
    defer { bytes.removeFirst(8) }
    return bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }
}
