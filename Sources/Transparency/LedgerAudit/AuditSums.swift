import Fairness
import Foundation

/// Finds out whether two piles of digests are the same, whatever their order, in constant memory: a sum of keyed hashes in
/// each of 16 384 buckets, to which one pile is added and from which the other is taken away.
///
/// The key is random and new for each audit, so nobody can prepare digests that cancel out. Where a bucket is not zero, the
/// piles differ in a digest of that bucket.
package struct AuditSums: Codable, Sendable {
  static let buckets = 16_384

  /// What a digest adds.
  package struct Mark: Sendable {
    package let bucket: Int
    fileprivate let low: UInt64
    fileprivate let high: UInt64
  }

  private let key: [UInt8]
  /// Two numbers of each bucket, as their bytes.
  private var sums = Data(count: 16 * buckets)

  package init() {
    key = (0..<16).map { _ in .random(in: .min ... .max) }
  }

  /// - Parameter kind: what the digest is of. The same digest of another kind is another.
  package func mark(_ kind: UInt8, _ digest: LogDigest) -> Mark {
    var text: [UInt8] = []
    text.reserveCapacity(49)
    text.append(contentsOf: key)
    text.append(kind)
    digest.append(to: &text)
    let words = LogDigest(of: text).firstWords
    return Mark(bucket: Int(words.0 % UInt64(Self.buckets)), low: words.1, high: words.2)
  }

  package mutating func add(_ mark: Mark) { change(mark, &+) }

  package mutating func takeAway(_ mark: Mark) { change(mark, &-) }

  private mutating func change(_ mark: Mark, _ change: (UInt64, UInt64) -> UInt64) {
    sums.withUnsafeMutableBytes { bytes in
      for half in 0..<2 {
        let word = half == 0 ? mark.low : mark.high
        let place = 16 * mark.bucket + 8 * half
        let sum = bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
        bytes.storeBytes(of: change(sum, word), toByteOffset: place, as: UInt64.self)
      }
    }
  }

  /// The buckets in which the piles differ.
  package var differing: [Int] {
    (0..<Self.buckets).filter { sums[(16 * $0)..<(16 * $0 + 16)].contains { $0 != 0 } }
  }
}
