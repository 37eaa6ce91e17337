import Foundation

/// The two continuous health tests of NIST SP 800-90B, section 4.4, over samples of one byte.
///
/// They notice a source that has broken: one that repeats itself, or prefers a value. They cannot notice a source that
/// somebody can predict. Both cutoffs follow from what the source claims, its min-entropy for each sample, and from how
/// rarely a good source may fail.
package struct HealthTests: Sendable {
  /// What a test found.
  package enum Failure: Error, Equatable {
    /// A value came this many times in a row.
    case repetition(Int)
    /// The first value of a window came this many times in the window.
    case proportion(Int)
  }

  /// How many samples a window of the adaptive proportion test has: what section 4.4.2 asks of samples that are not binary.
  package static let window = 512

  package let repetitionCutoff: Int
  package let proportionCutoff: Int

  /// The value that repeats, and how often it has come in a row.
  private var repeated: (sample: UInt8, count: Int)?
  /// The first value of the window, how often it has come in it, and how many samples the window has so far.
  private var counted: (sample: UInt8, count: Int, samples: Int)?

  /// - Parameters:
  ///   - entropy: H, the min-entropy of a sample in bits, 1 to 8.
  ///   - falseAlarm: the chance that a good source fails at a given sample or in a given window is at most 2 to the power
  ///     of minus this.
  package init(entropy: Double, falseAlarm: Int) {
    repetitionCutoff = Self.repetitionCutoff(entropy: entropy, falseAlarm: falseAlarm)
    proportionCutoff = Self.proportionCutoff(entropy: entropy, falseAlarm: falseAlarm)
  }

  /// SP 800-90B, section 4.4.1: C = 1 + ⌈−log₂ α ÷ H⌉.
  package static func repetitionCutoff(entropy: Double, falseAlarm: Int) -> Int {
    1 + Int((Double(falseAlarm) / entropy).rounded(.up))
  }

  /// SP 800-90B, section 4.4.2: C = 1 + critbinom(W, 2^−H, 1 − α). That is the least C for which a value of the probability
  /// 2^−H comes C times or more among W samples with a probability of at most α.
  package static func proportionCutoff(entropy: Double, falseAlarm: Int) -> Int {
    let chance = entropyChance(entropy)
    // The probabilities of 0, 1, … W times, and then their sums from the end, where they are smallest.
    var probabilities = [power(1 - chance, window)]
    for count in 0..<window {
      probabilities.append(
        probabilities[count] * Double(window - count) / Double(count + 1) * chance / (1 - chance))
    }
    let bound = power(0.5, falseAlarm)
    var tail = 0.0
    var cutoff = window + 1
    while cutoff > 0, tail + probabilities[cutoff - 1] <= bound {
      cutoff -= 1
      tail += probabilities[cutoff]
    }
    return cutoff
  }

  private static func entropyChance(_ entropy: Double) -> Double {
    precondition((1...8).contains(entropy))
    return exp2(-entropy)
  }

  private static func power(_ base: Double, _ exponent: Int) -> Double {
    var result = 1.0
    for _ in 0..<exponent { result *= base }
    return result
  }

  /// Takes the next samples. Windows and repetitions go on from the samples before.
  package mutating func take(_ samples: some Sequence<UInt8>) throws(Failure) {
    for sample in samples {
      try countRepetition(sample)
      try countProportion(sample)
    }
  }

  private mutating func countRepetition(_ sample: UInt8) throws(Failure) {
    let count = repeated?.sample == sample ? (repeated?.count ?? 0) + 1 : 1
    repeated = (sample, count)
    if count >= repetitionCutoff { throw .repetition(count) }
  }

  private mutating func countProportion(_ sample: UInt8) throws(Failure) {
    var now = counted ?? (sample, 0, 0)
    if now.sample == sample { now.count += 1 }
    now.samples += 1
    counted = now.samples == Self.window ? nil : now
    if now.count >= proportionCutoff { throw .proportion(now.count) }
  }
}
