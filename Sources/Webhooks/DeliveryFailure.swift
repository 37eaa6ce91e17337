import HTTPClient

/// Why an attempt failed before there was an answer, for the one who reads the attempts.
package struct DeliveryFailure: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }

  /// A sentence for whatever was thrown on the way.
  init(_ error: any Error) {
    switch error {
    case let error as DeliveryFailure: self = error
    case let error as HTTPFailure where error == .timedOut:
      self.init("there was no response within \(DeliveryClient.timeout.components.seconds) seconds")
    case let error as HTTPFailure: self.init(error.description)
    case is CancellationError: self.init(HTTPFailure.shutDown.description)
    default: self.init(HTTPFailure.notSent.description)
    }
  }
}
