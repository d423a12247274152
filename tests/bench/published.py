"""The published formulas of DCLS kernels in PyTorch, in the shape the published package computes them: one tensor with a cell of the
window for every element, normalised, weighted and summed over elements, anew on every call. Written from the papers (arXiv 2112.03740,
2306.00817) and from what this project's golden data says about axis order; two dimensions, v1, max and gauss."""
import torch


class PublishedKernel:
    """weight [out, in / groups, K], P (and SIG) [2, out, in / groups, K] or [2, in / groups, K]; calling it gives the dense kernel."""

    def __init__(self, version, size, weight, positions, spreads=None):
        self.version, self.weight, self.P, self.SIG = version, weight, positions, spreads
        rows, columns = size
        grid = torch.meshgrid(torch.arange(rows, dtype=torch.float32), torch.arange(columns, dtype=torch.float32), indexing="ij")
        # index 0 of P addresses columns, index 1 rows; the window's sides keep their own order
        self.cells = torch.stack((grid[1], grid[0])).reshape([2] + [1] * (positions.dim() - 1) + [rows, columns])
        self.centre = torch.tensor([rows // 2, columns // 2], dtype=torch.float32).reshape([2] + [1] * (positions.dim() - 1))

    def __call__(self):
        distance = self.cells - (self.P + self.centre)[..., None, None]
        if self.version == "v1":
            x = torch.relu(1 - distance.abs()).prod(0)
        elif self.version == "max":
            x = torch.relu(self.SIG.abs()[..., None, None] + 1 - distance.abs()).prod(0)
        else:
            x = torch.exp(-0.5 * (distance / (self.SIG.abs()[..., None, None] + 0.27)).square().sum(0))
        x = x / (x.sum((-2, -1), keepdim=True) + 1e-7)
        return (x * self.weight[..., None, None]).sum(-3)
