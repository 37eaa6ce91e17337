/// Something that reads input, and what must hold of that.
protocol Subject: Sendable {
  /// What its corpus's file is called.
  var name: String { get }
  /// Pieces that its inputs are made of.
  var tokens: [String] { get }
  /// - Returns: whether the input is valid.
  /// - Throws: ``Finding`` if an invariant does not hold.
  func check(_ input: [UInt8]) throws -> Bool
}

/// An invariant that does not hold.
struct Finding: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// - Throws: ``Finding`` unless `condition` holds.
func expect(_ condition: Bool, _ what: @autoclosure () -> String) throws(Finding) {
  guard condition else { throw Finding(what()) }
}
