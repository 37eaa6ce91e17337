import JSON

/// `/api-docs`: openapi.json for people. What the page says is what the document says; there is no second description.
struct ReferencePage {
  private let document: JSONValue
  /// What a `$ref` may name. To look for it in the document would be to read that from its beginning, each time.
  private let components: [String: JSONValue]

  /// - Throws: ``JSONSyntaxError`` for bytes that are no JSON.
  init(openAPI: [UInt8]) throws(JSONSyntaxError) {
    document = try JSONText(openAPI).root
    var components: [String: JSONValue] = [:]
    for (kind, members) in document["components"]?.members ?? [] {
      for (name, component) in members.members ?? [] {
        components["#/components/\(String(decoding: kind, as: UTF8.self))/\(String(decoding: name, as: UTF8.self))"] =
          component
      }
    }
    self.components = components
  }

  /// Every operation, with its tag.
  private var operations: [(tag: String, values: [String: Any])] {
    (document["paths"]?.members ?? []).flatMap { path, item in
      (item.members ?? []).compactMap { method, operation -> (tag: String, values: [String: Any])? in
        // A HEAD is a GET without its body.
        guard operation.kind == .object, !method.elementsEqual("head".utf8) else { return nil }
        let tag = operation["tags"]?.elements()?.first?.text ?? ""
        let shared = item["parameters"]?.elements() ?? []
        return (
          tag,
          self.operation(
            String(decoding: path, as: UTF8.self), String(decoding: method, as: UTF8.self), operation, sharing: shared)
        )
      }
    }
  }

  /// What can be searched for.
  var sections: [DocumentSearch.Section] {
    operations.map { _, values in
      func text(_ name: String) -> String { values[name] as? String ?? "" }
      let parameters =
        (values["parameters"] as? [[String: Any]] ?? []) + (values["properties"] as? [[String: Any]] ?? [])
      let named = parameters.map { "\($0["name"] ?? ""): \($0["description"] ?? "")" }
      return DocumentSearch.Section(
        title: text("method") + " " + text("path"), page: "The API", address: "/api-docs#" + text("id"),
        text: ([text("summary") + ".", text("description")] + named).joined(separator: " "))
    }
  }

  func html(layout: Layout) -> String {
    let operations = operations
    let groups = (document["tags"]?.elements() ?? []).compactMap { tag -> [String: Any]? in
      let name = tag["name"]?.text ?? ""
      let members = operations.filter { $0.tag == name }.map(\.values)
      guard !members.isEmpty else { return nil }
      return [
        "name": name, "id": Markdown.anchor(name), "description": tag["description"]?.text ?? "", "operations": members,
      ]
    }
    let values: [String: Any] = ["groups": groups, "about": document["info"]?["description"]?.text ?? ""]
    return layout.html(
      .init(
        title: "API – Fairdraw", description: "Every address of Fairdraw's API, with examples that run.",
        body: layout.templates.render("reference", values), script: "reference.js", section: "/api-docs", isWide: true))
  }

  /// - Parameter shared: the parameters of all the path's operations.
  private func operation(
    _ path: String, _ method: String, _ operation: JSONValue, sharing shared: [JSONValue]
  ) -> [String: Any] {
    let id = operation["operationId"]?.text ?? Markdown.anchor(method + path)
    let parameters = (shared + (operation["parameters"]?.elements() ?? [])).map { row(of: resolve($0), operation: id) }
    let body = operation["requestBody"]?["content"]?["application/json"]
    let properties = body?["schema"].map { bodyRows(of: resolve($0)) } ?? []
    let responses = (operation["responses"]?.members ?? []).map { status, response in
      ["status": String(decoding: status, as: UTF8.self), "meaning": resolve(response)["description"]?.text ?? ""]
    }
    return [
      "id": id, "method": method.uppercased(), "path": path, "summary": operation["summary"]?.text ?? "",
      "description": operation["description"]?.text ?? "", "parameters": parameters,
      "hasParameters": !parameters.isEmpty,
      "properties": properties, "hasProperties": !properties.isEmpty, "responses": responses, "isGet": method == "get",
      "inputs": parameters.filter { $0["isInput"] as? Bool == true },
    ]
  }

  private func row(of parameter: JSONValue, operation: String) -> [String: Any] {
    let schema = parameter["schema"].map(resolve)
    let name = parameter["name"]?.text ?? ""
    let place = parameter["in"]?.text ?? ""
    let isRequired = parameter.isTrue("required")
    return [
      "name": name, "place": place, "isRequired": isRequired, "type": schema.map(type) ?? "",
      "description": parameter["description"]?.text ?? schema?["description"]?.text ?? "",
      "isInput": place == "query" || place == "path", "input": "\(operation)-\(name)",
      "example": Self.example(parameter, schema, isRequired: isRequired),
    ]
  }

  /// What an input is filled with: an example; else, where something must stand there, the default.
  private static func example(_ parameter: JSONValue, _ schema: JSONValue?, isRequired: Bool) -> String {
    guard
      let example = parameter["example"] ?? schema?["example"] ?? schema?["default"],
      example.kind != .null
    else { return "" }
    if let list = example.elements() {
      return list.map { $0.text ?? String(decoding: $0.raw, as: UTF8.self) }.joined(separator: ",")
    }
    return example.text ?? String(decoding: example.raw, as: UTF8.self)
  }

  private func bodyRows(of schema: JSONValue) -> [[String: Any]] {
    let required = (schema["required"]?.elements() ?? []).compactMap(\.text)
    return (schema["properties"]?.members ?? []).map { name, property in
      let name = String(decoding: name, as: UTF8.self)
      let property = resolve(property)
      return [
        "name": name, "isRequired": required.contains(name), "type": type(of: property),
        "description": property["description"]?.text ?? "",
      ]
    }
  }

  /// A schema in a few words: `integer, 1 to 100, default 1`.
  private func type(of schema: JSONValue) -> String {
    var words: [String] = []
    if let choices = schema["enum"]?.elements() {
      words.append(choices.map { $0.text ?? String(decoding: $0.raw, as: UTF8.self) }.joined(separator: " | "))
    } else if let type = schema["type"] {
      words.append((type.text ?? "") + (schema.isTrue("nullable") ? " or null" : ""))
    } else if let options = schema["oneOf"]?.elements() ?? schema["anyOf"]?.elements() {
      words.append(options.map { self.type(of: resolve($0)) }.joined(separator: "; or "))
    }
    let number = { (name: String) in schema[name]?.number }
    switch (number("minimum"), number("maximum")) {
    case (let low?, let high?) where schema.isTrue("exclusiveMinimum"): words.append("above \(low), up to \(high)")
    case (let low?, nil) where schema.isTrue("exclusiveMinimum"): words.append("above \(low)")
    case (let low?, let high?): words.append("\(low) to \(high)")
    case (let low?, nil): words.append("from \(low)")
    case (nil, let high?): words.append("up to \(high)")
    case (nil, nil): break
    }
    if let low = number("minItems"), let high = number("maxItems") { words.append("\(low) to \(high) of them") }
    if let high = number("maxLength") { words.append("at most \(high) characters") }
    if let value = schema["default"], value.kind != .null {
      words.append("default \(value.text ?? String(decoding: value.raw, as: UTF8.self))")
    }
    return words.joined(separator: ", ")
  }

  /// Follows `$ref`, within the document.
  private func resolve(_ value: JSONValue) -> JSONValue {
    var value = value
    for _ in 0..<8 {
      guard let reference = value["$ref"]?.text, let target = components[reference] else { break }
      value = target
    }
    return value
  }
}

extension JSONValue {
  /// The string's text; nil for any other kind.
  var text: String? { string.map { String(decoding: $0, as: UTF8.self) } }

  fileprivate func isTrue(_ member: String) -> Bool { self[member]?.isTrue == true }
}
