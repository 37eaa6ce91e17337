/// The ranges a draw's parameters are held to. Everything ``Generator/validated()`` refuses is
/// refused by one of these.
public enum Limits {
  /// How many values one draw of floats, ints or gaussian samples may ask for.
  public static let count: ClosedRange<Int64> = 1...100
  /// How many different integers one sample may have.
  public static let sampleCount: ClosedRange<Int64> = 1...1000
  /// How many bytes one draw may ask for.
  public static let byteCount: ClosedRange<Int64> = 1...1024
  /// How many items may be shuffled or picked from.
  public static let items: ClosedRange<Int64> = 1...1000
  /// How many dice one roll may have.
  public static let dice: ClosedRange<Int64> = 1...100
  /// How many sides a die may have.
  public static let sides: ClosedRange<Int64> = 2...1_000_000
  /// The integers that every IEEE-754 double, and so every JSON reader, holds exactly: ±(2^53 − 1).
  public static let safeIntegers: ClosedRange<Int64> =
    -9_007_199_254_740_991...9_007_199_254_740_991
  /// The most values a range of integers may span: 2^32, what one word of the stream can tell apart.
  public static let span: Int64 = 1 << 32
  /// The bound of a normal distribution's |mean| and stddev. A sample lies within 13 stddev of the
  /// mean (see ``Distribution/normal(mean:stddev:)``), so at this bound it is still finite.
  public static let magnitude: Double = 1e300
  /// The smallest rate of an exponential distribution. A sample is below 37 ÷ lambda, so at this
  /// bound it is still finite.
  public static let smallestRate: Double = 1e-300
  /// The largest mean of a Poisson distribution; inversion needs exp(−lambda) to be a normal double
  /// and its loop to be short.
  public static let largestPoissonMean: Double = 100
}
