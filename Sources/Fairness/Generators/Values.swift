/// What a draw came to, before it is put into anyone's words.
public enum Values: Sendable, Equatable {
  /// Multiples of 2^−32 in 0 ..< 1.
  case floats([Double])
  case ints([Int64])
  /// The new order: `permutation[k]` is the place in the input of the item that is now at `k`.
  case permutation([Int])
  /// The place in the input of the picked item.
  case index(Int)
  case bytes([UInt8])
  /// What each die shows, 1 to its number of sides, and their sum plus the modifier.
  case rolls([Int], total: Int64)
  /// Samples of a ``Distribution``; those of a Poisson distribution are whole numbers.
  case samples([Double])
}
