"""Every system keeps the contract."""

from models.contract import SystemContract
from ssnan.models import (
    HAZN,
    LGLSTM,
    SSNAN,
    Attention,
    Backbone,
    DeepLabV2,
    FCN8s,
    MaximumAggregation,
    NeuralAggregation,
    Pyramid,
    SegNet,
    SkipBackbone,
)  # fmt: skip


def backbone():
    return Backbone("resnet10t", output_stride=8, stage=2, frozen_batch_norm=True)


class TestSSNAN(SystemContract):
    def build(self):
        return SSNAN(20, backbone(), aggregation=NeuralAggregation(20, 3, hidden=8))


class TestSSNANMaximumWithSkip(SystemContract):
    def build(self):
        skip = SkipBackbone("resnet10t", (4, 8), width=16, frozen_batch_norm=True)
        return SSNAN(20, skip, aggregation=MaximumAggregation())

    stride = 4


class TestSegNet(SystemContract):
    stride = 1

    def build(self):
        return SegNet(20, "vgg11_bn")


class TestFCN8s(SystemContract):
    def build(self):
        return FCN8s(20, Pyramid("resnet10t", frozen_batch_norm=True), hidden=16)


class TestFCN8sOfVGG(SystemContract):
    def build(self):
        return FCN8s(20, Pyramid("vgg11"), hidden=16)


class TestDeepLabV2LargeFOV(SystemContract):
    def build(self):
        return DeepLabV2(20, Backbone("vgg11", output_stride=8), "large_fov", hidden=16)


class TestDeepLabV2ASPP(SystemContract):
    def build(self):
        return DeepLabV2(20, backbone(), "aspp", hidden=16)


class TestDeepLabV2ResNet(SystemContract):
    def build(self):
        return DeepLabV2(20, backbone(), "aspp_classifier", scales=(0.5, 0.75, 1.0))


class TestAttention(SystemContract):
    def build(self):
        return Attention(20, backbone(), hidden=16, width=16)


class TestLGLSTM(SystemContract):
    def build(self):
        return LGLSTM(20, backbone(), cells=8, layers=2)


class TestHAZN(SystemContract):
    def build(self):
        return HAZN(20, backbone(), parts=2, zoom=(65, 49), hidden=16)
