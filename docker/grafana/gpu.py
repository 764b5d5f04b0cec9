"""The device, as the services and as NVIDIA's dcgm-exporter see it."""

from grid import Dashboard, Panel, Row
from promql import rate

OURS = Row(
    "As the services see it",
    [
        Panel("Device thread turns", "none", {"{{job}} {{instance}}": "ocelli_device_healthy"}),
        Panel("Memory in use by tensors", "bytes", {"{{job}} {{device}}": "ocelli_gpu_memory_allocated_bytes"}),
        Panel("Memory held by the allocator", "bytes", {"{{job}} {{device}}": "ocelli_gpu_memory_reserved_bytes"}),
        Panel(
            "Batches that ran out of memory",
            "reqps",
            {"{{model}}": rate("ocelli_inference_batch_splits_total", "model", 'reason="memory"')},
        ),
    ],
)

DCGM = Row(
    "As DCGM sees it",
    [
        Panel("Busy", "percent", {"{{Hostname}} {{gpu}}": "DCGM_FI_DEV_GPU_UTIL"}),
        Panel(
            "Memory",
            "decmbytes",
            {"{{Hostname}} {{gpu}} used": "DCGM_FI_DEV_FB_USED", "{{Hostname}} {{gpu}} free": "DCGM_FI_DEV_FB_FREE"},
        ),
        Panel("Temperature", "celsius", {"{{Hostname}} {{gpu}}": "DCGM_FI_DEV_GPU_TEMP"}),
        Panel("Power", "watt", {"{{Hostname}} {{gpu}}": "DCGM_FI_DEV_POWER_USAGE"}),
        Panel("Clock", "hertz", {"{{Hostname}} {{gpu}}": "DCGM_FI_DEV_SM_CLOCK * 1e6"}),
        Panel("Latest error (XID)", "none", {"{{Hostname}} {{gpu}}": "DCGM_FI_DEV_XID_ERRORS"}),
    ],
)
GPU = Dashboard("ocelli-gpu", "Ocelli: GPU", {}, [OURS, DCGM])
