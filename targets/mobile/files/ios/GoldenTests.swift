import Foundation
import OnnxRuntimeBindings
import XCTest

@testable import __MODULE__

/// Replays the recorded inputs and compares with the recorded outputs.
final class GoldenTests: XCTestCase {
    private struct Tensor: Decodable {
        let name: String
        let type: Int32
        let shape: [Int]
        let file: String
        /// Of outputs.
        let rtol: Float?
        let atol: Float?
    }

    private struct Case: Decodable {
        let inputs: [Tensor]
        let outputs: [Tensor]
    }

    func testAnswersAsRecorded() throws {
        try replay(provider: ModelInfo.provider)
    }

    func testAnswersAsRecordedOnTheCPU() throws {
        try replay(provider: .cpu)
    }

    private func replay(provider: Provider) throws {
        let cases = try JSONDecoder().decode([Case].self, from: resource("golden.json"))
        let model = try Model(provider: provider)
        for (number, one) in cases.enumerated() {
            var inputs: [String: RawTensor] = [:]
            for tensor in one.inputs {
                inputs[tensor.name] = try load(tensor)
            }
            let got = try model.run(inputs)
            for tensor in one.outputs {
                let actual = try XCTUnwrap(got[tensor.name])
                let (rtol, atol) = (tensor.rtol ?? 0, tensor.atol ?? 0)
                compare("case \(number), \(tensor.name)", actual, try load(tensor), rtol: rtol, atol: atol)
            }
        }
    }

    private func load(_ tensor: Tensor) throws -> RawTensor {
        let type = try XCTUnwrap(ORTTensorElementDataType(rawValue: tensor.type))
        return RawTensor(type: type, shape: tensor.shape, data: try resource(tensor.file))
    }

    private func resource(_ path: String) throws -> Data {
        let folder = try XCTUnwrap(Bundle.module.resourceURL)
        return try Data(contentsOf: folder.appendingPathComponent("Golden").appendingPathComponent(path))
    }

    private func compare(_ what: String, _ got: RawTensor, _ want: RawTensor, rtol: Float, atol: Float) {
        XCTAssertEqual(got.type, want.type, what)
        XCTAssertEqual(got.shape, want.shape, what)
        guard want.type == .float else {
            XCTAssertEqual(got.data, want.data, what)
            return
        }
        let expected = want.floats()
        let actual = got.floats()
        let scale = expected.filter { $0.isFinite }.map { abs($0) }.max() ?? 0
        let allowed = atol + rtol * scale
        for index in expected.indices {
            let (value, wanted) = (actual[index], expected[index])
            // Infinities have no difference.
            if value == wanted || (value.isNaN && wanted.isNaN) {
                continue
            }
            XCTAssertLessThanOrEqual(abs(value - wanted), allowed, "\(what) at \(index)")
        }
    }
}
