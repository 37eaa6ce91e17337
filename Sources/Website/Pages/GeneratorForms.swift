import Fairness

/// The generators and their parameters, as the template `parameters` has them.
enum GeneratorForms {
  /// Dice first: everybody knows them.
  private static let endpoints = [Endpoint.dice] + Endpoint.allCases.filter { $0 != .dice }

  static var values: [String: Any] {
    [
      "first": endpoints[0].name,
      "generators": endpoints.map { endpoint in
        [
          "name": endpoint.name, "title": endpoint.kind.title, "isHidden": endpoint != endpoints[0],
          "parameters": endpoint.kind.parameters.map { values(of: $0, endpoint) },
        ] as [String: Any]
      },
    ]
  }

  private static func values(of parameter: Parameter, _ endpoint: Endpoint) -> [String: Any] {
    var values: [String: Any] = [
      "name": "\(parameter.name)", "id": "\(endpoint.name)-\(parameter.name)", "title": parameter.title,
      "example": parameter.example, "isList": false, "isChoice": false, "isLine": false, "isFull": false,
    ]
    // An empty text is true to a template.
    if !parameter.hint.isEmpty { values["hint"] = parameter.hint }
    if !parameter.choices.isEmpty { values["choices"] = parameter.choices.joined(separator: " ") }
    switch parameter.input {
    case .number: (values["input"], values["isLine"]) = ("number", true)
    case .text: (values["input"], values["isLine"]) = ("text", true)
    case .choice(let words): (values["input"], values["isChoice"], values["words"]) = ("text", true, words)
    case .items: (values["input"], values["isList"]) = ("items", true)
    case .numbers: (values["input"], values["isList"]) = ("numbers", true)
    }
    // A list that stands alone has the whole width.
    if values["isList"] as? Bool == true, endpoint.kind.parameters.count == 1 { values["isFull"] = true }
    return values
  }
}
