/// The values of a draw, before they are written as JSON or text.
public enum Values: Sendable, Equatable {
  /// Multiples of 2^−32 in 0 ..< 1.
  case floats([Double])
  case ints([Int64])
  /// The new order: `permutation[k]` is the place in the input of the item that is now at `k`.
  case permutation([Int])
  /// The place in the input of the picked item.
  case index(Int)
  /// Bytes, and the text that an outcome writes them as.
  case bytes([UInt8], as: BytesEncoding)
  /// What each die shows, 1 to its number of sides, and their sum plus the modifier.
  case rolls([Int], of: DiceNotation, total: Int64)
  /// Samples of a ``Distribution``; those of a Poisson distribution are whole numbers.
  case samples([Double])

  /// The values that are written, kept and shown in the same way.
  public enum Shape: Sendable {
    /// A list of numbers: floats, ints and samples.
    case numbers
    /// Items in a new order.
    case permutation
    /// One of the items.
    case index
    case bytes
    case rolls
  }
}
