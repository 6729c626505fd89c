import Foundation
import OnnxRuntimeBindings

/// What runs the model. Nodes that a provider does not take run on the CPU.
public enum Provider {
    case cpu
    case xnnpack
    case coreML(computeUnits: ComputeUnits)
}

public enum ComputeUnits: String {
    case all = "ALL"
    case cpuOnly = "CPUOnly"
    case cpuAndGPU = "CPUAndGPU"
    case cpuAndNeuralEngine = "CPUAndNeuralEngine"
}

/// A tensor: element type, shape, and elements in native byte order.
public struct RawTensor {
    public let type: ORTTensorElementDataType
    public let shape: [Int]
    public let data: Data

    public init(type: ORTTensorElementDataType, shape: [Int], data: Data) {
        self.type = type
        self.shape = shape
        self.data = data
    }

    public init(floats: [Float], shape: [Int]) {
        self.init(type: .float, shape: shape, data: floats.withUnsafeBufferPointer { Data(buffer: $0) })
    }

    /// The elements of a float32 tensor.
    public func floats() -> [Float] {
        precondition(type == .float, "the tensor is not float32")
        return data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }
}

public enum ModelError: Error {
    case missingResource(String)
    case missingOutput(String)
}

/// The model in a session. Make one and keep it: loading is the expensive part. Run it off the main thread.
public final class Model {
    private let environment: ORTEnv
    private let session: ORTSession

    public init(
        file: String = ModelInfo.file,
        provider: Provider = ModelInfo.provider,
        threads: Int32 = 2
    ) throws {
        let name = file as NSString
        guard let path = Bundle.module.path(forResource: name.deletingPathExtension, ofType: name.pathExtension) else {
            throw ModelError.missingResource(file)
        }
        environment = try ORTEnv(loggingLevel: .warning)
        let options = try ORTSessionOptions()
        try Model.configure(options, provider: provider, threads: threads)
        session = try ORTSession(env: environment, modelPath: path, sessionOptions: options)
    }

    /// Runs the model on inputs by name; the answer holds every output by name.
    public func run(_ inputs: [String: RawTensor]) throws -> [String: RawTensor] {
        var values: [String: ORTValue] = [:]
        for (name, tensor) in inputs {
            values[name] = try ORTValue(
                tensorData: NSMutableData(data: tensor.data),
                elementType: tensor.type,
                shape: tensor.shape.map { NSNumber(value: $0) }
            )
        }
        let results = try session.run(withInputs: values, outputNames: Set(ModelInfo.outputs), runOptions: nil)
        var outputs: [String: RawTensor] = [:]
        for name in ModelInfo.outputs {
            guard let value = results[name] else {
                throw ModelError.missingOutput(name)
            }
            let info = try value.tensorTypeAndShapeInfo()
            outputs[name] = RawTensor(
                type: info.elementType,
                shape: info.shape.map { $0.intValue },
                data: try value.tensorData() as Data
            )
        }
        return outputs
    }

    private static func configure(_ options: ORTSessionOptions, provider: Provider, threads: Int32) throws {
        for (key, value) in ModelInfo.sessionConfig {
            try options.addConfigEntry(withKey: key, value: value)
        }
        try options.setIntraOpNumThreads(threads)
        switch provider {
        case .cpu:
            break
        case .xnnpack:
            let xnnpack = ORTXnnpackExecutionProviderOptions()
            xnnpack.intra_op_num_threads = threads
            try options.appendXnnpackExecutionProvider(with: xnnpack)
            // Its own threads do the work: two pools would fight for the cores.
            try options.addConfigEntry(withKey: "session.intra_op.allow_spinning", value: "0")
            try options.setIntraOpNumThreads(1)
        case let .coreML(computeUnits):
            // RequireStaticInputShapes stays 0: with 1, runtime 1.30.0 gives wrong float16 results (onnxruntime#32569).
            try options.appendCoreMLExecutionProvider(withOptionsV2: [
                "ModelFormat": ModelInfo.coreMLFormat,
                "MLComputeUnits": computeUnits.rawValue,
                "RequireStaticInputShapes": "0",
                "EnableOnSubgraphs": "0",
            ])
        }
    }
}
